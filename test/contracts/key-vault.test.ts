import { DescribeKeyCommand, GenerateDataKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KmsKeyVault } from '../../lambdas/adapters/kms-key-vault.ts';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { KeyVault } from '../../lambdas/core/ports.ts';
import { createModule } from '../../local/services/kms/index.ts';
import { FakeKeyVault } from '../fakes/fake-key-vault.ts';
import { startCloud, type TestCloud } from '../local/services/cloud.ts';

function keyVaultContract(vault: () => KeyVault): void {
  it('opens what it closed, for the same tenant and purpose', async () => {
    const closed = await vault().encrypt('acme', 'ca', 'a private key\n');
    expect(closed).not.toContain('private');
    expect(await vault().decrypt('acme', 'ca', closed)).toBe('a private key\n');
  });

  it.each([
    ['another tenant', 'other', 'ca'],
    ['another purpose', 'acme', 'control-plane'],
  ] as const)('never opens for %s', async (_, tenantId, purpose) => {
    const closed = await vault().encrypt('acme', 'ca', 'a private key');
    await expect(vault().decrypt(tenantId, purpose, closed)).rejects.toThrow(ControlPlaneError);
  });

  it('never opens what it did not close', async () => {
    for (const garbage of ['', 'AAAA', Buffer.from('garbage'.repeat(20)).toString('base64')]) {
      await expect(vault().decrypt('acme', 'ca', garbage)).rejects.toThrow(ControlPlaneError);
    }
  });
}

describe('KeyVault fake', () => {
  const fake = new FakeKeyVault();
  keyVaultContract(() => fake);
});

describe('KeyVault in KMS', () => {
  let cloud: TestCloud;
  let keyArn: string;
  let vault: KeyVault;
  let client: KMSClient;
  beforeAll(async () => {
    cloud = await startCloud(createModule);
    const key = await cloud.provision('AWS::KMS::Key', 'Key', {});
    await cloud.provision('AWS::KMS::Alias', 'Alias', { AliasName: 'alias/nanny', TargetKeyId: key.ref });
    keyArn = key.attributes!.Arn!;
    client = new KMSClient(cloud.client);
    vault = new KmsKeyVault({ keyArn, client });
  });
  afterAll(() => cloud.stop());
  keyVaultContract(() => vault);

  it('asks IAM for the key together with tenant and purpose', async () => {
    cloud.asked.length = 0;
    const closed = await vault.encrypt('acme', 'control-plane', 'x');
    await vault.decrypt('acme', 'control-plane', closed);
    const context = {
      'kms:EncryptionContext:tenant': 'acme',
      'kms:EncryptionContext:purpose': 'control-plane',
      'kms:EncryptionContextKeys': ['tenant', 'purpose'],
    };
    expect(cloud.asked).toEqual([
      { action: 'kms:Encrypt', resource: keyArn, context },
      { action: 'kms:Decrypt', resource: keyArn, context },
    ]);
  });

  it('keeps its keys over a restart, readable for the owner only', async () => {
    const closed = await vault.encrypt('acme', 'ca', 'still here');
    await cloud.stop({ keepState: true });
    cloud = await startCloud(createModule, { stateDir: cloud.stateDir });
    await cloud.provision('AWS::KMS::Key', 'Key', {});
    client = new KMSClient(cloud.client);
    vault = new KmsKeyVault({ keyArn, client });
    expect(await vault.decrypt('acme', 'ca', closed)).toBe('still here');
    const { statSync } = await import('node:fs');
    expect(statSync(`${cloud.stateDir}/kms/keys.json`).mode & 0o777).toBe(0o600);
  });

  it('answers DescribeKey and GenerateDataKey by alias', async () => {
    await cloud.provision('AWS::KMS::Alias', 'Alias', { AliasName: 'alias/nanny', TargetKeyId: keyArn });
    const described = await client.send(new DescribeKeyCommand({ KeyId: 'alias/nanny' }));
    expect(described.KeyMetadata?.Arn).toBe(keyArn);
    const data = await client.send(new GenerateDataKeyCommand({ KeyId: 'alias/nanny', KeySpec: 'AES_256' }));
    expect(data.Plaintext).toHaveLength(32);
    await expect(client.send(new DescribeKeyCommand({ KeyId: 'alias/none' }))).rejects.toThrow(
      'does not exist',
    );
  });
});
