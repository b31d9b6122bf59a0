import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StackDocument } from '../../bin/cli/commands/stacks.ts';
import { repoDir, type TestCloud, testCloud } from './support/cloud.ts';
import type { TenantApp } from './support/tenant-app.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  await cloud?.dispose();
});

const deadlineMs = 900_000;
let round = 0;

/** `cdk synth` of the app, as it is wanted now. @returns its cdk.out */
function synthesize(wanted: TenantApp): string {
  round += 1;
  const out = join(cloud.stateDir, `app-${round}.out`);
  const { status, stderr } = spawnSync(process.execPath, ['test/e2e/support/tenant-app.ts'], {
    cwd: repoDir,
    encoding: 'utf8',
    env: { ...process.env, CDK_OUTDIR: out, TENANT_APP: JSON.stringify(wanted) },
  });
  if (status !== 0) throw new Error(stderr);
  return out;
}

const deploy = (wanted: TenantApp) => cloud.cli('local deploy', synthesize(wanted), '--json');

async function deployed(wanted: TenantApp): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await deploy(wanted);
  expect(code, stderr).toBe(0);
  const { stacks } = JSON.parse(stdout) as {
    stacks: (Omit<StackDocument, 'outputs'> & { outputs: Record<string, string> })[];
  };
  return stacks[0]!.outputs;
}

const statusOf = async (): Promise<string> => {
  const { stacks } = JSON.parse((await cloud.cli('local stacks', '--json')).stdout) as {
    stacks: StackDocument[];
  };
  return stacks.find(({ name }) => name === 'shop')!.status;
};

interface Stored {
  readonly certificate: string;
  readonly privateKey: string;
  readonly caBundle: string;
  readonly endpoints: string;
}

/** With the rights that `grantRead` gave to a role of the app. */
async function readSecret(outputs: Record<string, string>): Promise<Stored> {
  const { url, region } = cloud.cloud;
  const credentials = cloud.cloud.assumeRole(outputs.ReaderRole!, 'reader');
  const client = new SecretsManagerClient({ endpoint: url, region, credentials });
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: outputs.Secret! }));
  return JSON.parse(SecretString!) as Stored;
}

/** All that a client has is the secret. */
async function withClient<T>(stored: Stored, use: (client: Etcd3) => Promise<T>): Promise<T> {
  const client = new Etcd3({
    hosts: stored.endpoints.split(','),
    credentials: {
      rootCertificate: Buffer.from(stored.caBundle),
      privateKey: Buffer.from(stored.privateKey),
      certChain: Buffer.from(stored.certificate),
    },
    dialTimeout: 10_000,
  });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** A part of the app that never comes up, so that CloudFormation rolls back what went well before it. */
function brokenPart(): string {
  const folder = join(cloud.stateDir, 'broken');
  mkdirSync(folder, { recursive: true });
  const source = `export const handler = async (event) => {
  const { StackId, RequestId, LogicalResourceId, ResponseURL, RequestType } = event;
  const Status = RequestType === 'Create' ? 'FAILED' : 'SUCCESS';
  await fetch(ResponseURL, { method: 'PUT', body: JSON.stringify({
    Status, Reason: 'this part of the app is broken', PhysicalResourceId: 'part', StackId, RequestId, LogicalResourceId }) });
};`;
  writeFileSync(join(folder, 'index.mjs'), source);
  return folder;
}

const shop = { size: 'micro', members: 3, version: '3.6', removalPolicy: 'destroy' } as TenantApp['tenant'];
let outputs: Record<string, string>;
let stored: Stored;

describe('a tenant in somebody’s own CDK app', () => {
  test(
    'is there when its stack is: a client writes and reads with nothing but the secret',
    async () => {
      outputs = await deployed({ tenant: shop });
      const tenant = await cloud.tenant('shop');
      expect(tenant).toMatchObject({ phase: 'available', clusterId: outputs.ClusterId });
      expect(outputs.Endpoints!.split(',').sort()).toEqual([...tenant.endpoints].sort());
      expect(outputs.DnsEndpoint).toBe(`https://${tenant.dnsName}:2379`);
      stored = await readSecret(outputs);
      const read = await withClient(stored, async (client) => {
        await client.put('order/1').value('tea');
        return client.get('order/1').string();
      });
      expect(read).toBe('tea');
    },
    deadlineMs,
  );

  test('its private key is in the secret alone: in no template, stack, event or log', async () => {
    const line = stored.privateKey.split('\n')[1]!;
    const holders = filesBelow(cloud.stateDir).filter((file) => readFileSync(file).includes(line));
    expect(holders.map((file) => file.slice(cloud.stateDir.length))).toEqual([
      '/secretsmanager/secrets.json',
    ]);
  });

  test(
    'grows from 3 to 5 members with an update; data and credentials stay',
    async () => {
      const after = await deployed({ tenant: { ...shop, members: 5 } });
      expect((await cloud.tenant('shop')).members).toHaveLength(5);
      expect(after.ClusterId).toBe(outputs.ClusterId);
      const now = await readSecret(after);
      expect(now.certificate).toBe(stored.certificate);
      expect(now.endpoints.split(',')).toHaveLength(5);
      expect(await withClient(now, (client) => client.get('order/1').string())).toBe('tea');
    },
    deadlineMs,
  );

  test(
    'an update that the API refuses changes nothing, and its sentence is the reason',
    async () => {
      const { code, stderr } = await deploy({ tenant: { ...shop, members: 5, version: '3.99' } });
      expect(code).toBe(1);
      expect(stderr).toMatch(/no version of etcd 3\.99 is offered here/);
      expect(await statusOf()).toBe('UPDATE_ROLLBACK_COMPLETE');
      expect((await cloud.tenant('shop')).members).toHaveLength(5);
    },
    deadlineMs,
  );

  test(
    'an update that fails elsewhere after the tenant was changed takes the change back',
    async () => {
      const broken = brokenPart();
      const { code, stderr } = await deploy({ tenant: { ...shop, members: 3 }, broken });
      expect(code).toBe(1);
      expect(stderr).toMatch(/this part of the app is broken/);
      expect(await statusOf()).toBe('UPDATE_ROLLBACK_COMPLETE');
      const tenant = await cloud.tenant('shop');
      expect([tenant.members.length, tenant.spec.members, tenant.operation]).toEqual([5, 5, null]);
      // Both ways were gone for real.
      const { items } = await cloud.api.call<{ items: { kind: string }[] }>({
        method: 'GET',
        path: '/v1/tenants/shop/operations',
      });
      expect(items.map(({ kind }) => kind).slice(0, 3)).toEqual(['scale', 'scale', 'scale']);
      expect(await withClient(await readSecret(outputs), (client) => client.get('order/1').string())).toBe(
        'tea',
      );
    },
    deadlineMs,
  );

  test(
    'as long as it lives the control plane refuses to be destroyed, and names it',
    async () => {
      const { code, stderr } = await cloud.cli('local destroy', 'etcd-nanny-control-plane');
      expect(code).toBe(1);
      expect(stderr).toMatch(/Tenant shop lives in this deployment.*nanny delete shop --yes/);
    },
    deadlineMs,
  );

  test(
    'goes with its stack, also after a restart of the cloud, and then nothing keeps the control plane',
    async () => {
      await cloud.restart();
      const { code, stderr } = await cloud.cli('local destroy', 'shop');
      expect(code, stderr).toBe(0);
      await expect(cloud.tenant('shop')).rejects.toThrow(/shop/);
      expect(await statusOf()).toBe('DELETE_COMPLETE');
      expect(await cloud.cli('local destroy', 'etcd-nanny-control-plane')).toMatchObject({ code: 0 });
    },
    deadlineMs,
  );
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}
