import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { ControlPlaneError } from '../core/errors.ts';
import type { KeyPurpose, KeyVault } from '../core/ports.ts';
import { callAws, clientDefaults } from './aws-errors.ts';

/**
 * Tenant keys under one KMS key. IAM tells the purposes apart by `kms:EncryptionContext:purpose`.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | encrypt | kms:Encrypt | the key, condition kms:EncryptionContext:purpose |
 * | decrypt | kms:Decrypt | the key, condition kms:EncryptionContext:purpose |
 */
export class KmsKeyVault implements KeyVault {
  readonly #client: KMSClient;
  readonly #keyArn: string;

  constructor(options: { keyArn: string; client?: KMSClient }) {
    this.#client = options.client ?? new KMSClient(clientDefaults);
    this.#keyArn = options.keyArn;
  }

  async encrypt(tenantId: string, purpose: KeyPurpose, plaintext: string): Promise<string> {
    const command = new EncryptCommand({
      KeyId: this.#keyArn,
      Plaintext: Buffer.from(plaintext),
      EncryptionContext: { tenant: tenantId, purpose },
    });
    const { CiphertextBlob } = await callAws('kms:Encrypt', () => this.#client.send(command));
    return Buffer.from(required(CiphertextBlob, 'kms:Encrypt')).toString('base64');
  }

  /** @throws ControlPlaneError `aws-refused` when the ciphertext belongs to another tenant or purpose */
  async decrypt(tenantId: string, purpose: KeyPurpose, ciphertext: string): Promise<string> {
    const command = new DecryptCommand({
      KeyId: this.#keyArn,
      CiphertextBlob: Buffer.from(ciphertext, 'base64'),
      EncryptionContext: { tenant: tenantId, purpose },
    });
    const { Plaintext } = await callAws('kms:Decrypt', () => this.#client.send(command));
    return Buffer.from(required(Plaintext, 'kms:Decrypt')).toString();
  }
}

function required<T>(value: T | undefined, action: string): T {
  if (value === undefined) throw new ControlPlaneError('aws-refused', `${action} answered without a value.`);
  return value;
}
