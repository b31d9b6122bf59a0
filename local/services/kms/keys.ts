import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import path from 'node:path';
import { physicalName, stableHex } from '../../aws/names.ts';
import { AwsError, type CloudContext, type ResourceProvider } from '../../aws/service.ts';
import { openStateFile, type StateFile } from '../../aws/state-file.ts';

export type EncryptionContext = Readonly<Record<string, string>>;

interface KeyState {
  /** AES-256, base64. */
  readonly keys: Record<string, { readonly material: string; readonly createdAt: string }>;
  /** `alias/...` → key id. */
  readonly aliases: Record<string, string>;
}

const blobVersion = 1;
const keyIdBytes = 16;
const ivBytes = 12;
const tagBytes = 16;
const headerBytes = 1 + keyIdBytes + ivBytes;

/** Symmetric keys. The material is in the state folder: losing the folder loses the keys, as it loses all data. */
export class Keys {
  readonly #context: Pick<CloudContext, 'accountId' | 'region'>;
  readonly #file: StateFile<KeyState>;

  constructor(context: Pick<CloudContext, 'accountId' | 'region' | 'stateDir'>) {
    this.#context = context;
    this.#file = openStateFile(path.join(context.stateDir, 'kms', 'keys.json'), { keys: {}, aliases: {} });
  }

  ensureKey(keyId: string): void {
    if (this.#file.state.keys[keyId] !== undefined) return;
    this.#file.state.keys[keyId] = {
      material: randomBytes(32).toString('base64'),
      createdAt: new Date().toISOString(),
    };
    this.#file.save();
  }

  ensureAlias(alias: string, keyId: string): void {
    this.#file.state.aliases[alias] = keyId;
    this.#file.save();
  }

  arn(keyId: string): string {
    return `arn:aws:kms:${this.#context.region}:${this.#context.accountId}:key/${keyId}`;
  }

  createdAt(keyId: string): Date {
    return new Date(this.#file.state.keys[keyId]!.createdAt);
  }

  /** @param reference key id, key ARN, alias name or alias ARN @throws AwsError NotFoundException */
  resolve(reference: string): string {
    const name = reference.startsWith('arn:') ? reference.split(':').slice(5).join(':') : reference;
    const keyId = name.startsWith('alias/') ? this.#file.state.aliases[name] : name.replace(/^key\//, '');
    if (keyId !== undefined && this.#file.state.keys[keyId] !== undefined) return keyId;
    throw new AwsError('NotFoundException', `Key '${reference}' does not exist`);
  }

  encrypt(keyId: string, plaintext: Buffer, context: EncryptionContext): Buffer {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#material(keyId), iv);
    cipher.setAAD(canonical(context));
    const header = Buffer.concat([
      Buffer.from([blobVersion]),
      Buffer.from(keyId.replaceAll('-', ''), 'hex'),
      iv,
    ]);
    return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws AwsError InvalidCiphertextException for a damaged blob or another encryption context */
  decrypt(blob: Buffer, context: EncryptionContext): { keyId: string; plaintext: Buffer } {
    const keyId = this.keyOf(blob);
    const iv = blob.subarray(1 + keyIdBytes, headerBytes);
    const decipher = createDecipheriv('aes-256-gcm', this.#material(keyId), iv);
    decipher.setAAD(canonical(context));
    decipher.setAuthTag(blob.subarray(-tagBytes));
    try {
      const opened = decipher.update(blob.subarray(headerBytes, -tagBytes));
      return { keyId, plaintext: Buffer.concat([opened, decipher.final()]) };
    } catch {
      throw invalidCiphertext();
    }
  }

  /** The key that a blob was made with: it is written in the blob, as at AWS. */
  keyOf(blob: Buffer): string {
    const hex = blob.subarray(1, 1 + keyIdBytes).toString('hex');
    const keyId = uuid(hex);
    const known = blob.length >= headerBytes + tagBytes && blob[0] === blobVersion;
    if (!known || this.#file.state.keys[keyId] === undefined) throw invalidCiphertext();
    return keyId;
  }

  #material(keyId: string): Buffer {
    return Buffer.from(this.#file.state.keys[keyId]!.material, 'base64');
  }
}

export function keyProvider(keys: Keys): ResourceProvider {
  return {
    types: ['AWS::KMS::Key', 'AWS::KMS::Alias'],
    async provision(resource) {
      if (resource.type === 'AWS::KMS::Alias') {
        const { AliasName, TargetKeyId } = resource.properties;
        const alias = String(AliasName ?? `alias/${physicalName(resource)}`);
        keys.ensureAlias(alias, keys.resolve(String(TargetKeyId)));
        return { ref: alias };
      }
      const { KeySpec, KeyUsage } = resource.properties;
      if (
        (KeySpec ?? 'SYMMETRIC_DEFAULT') !== 'SYMMETRIC_DEFAULT' ||
        (KeyUsage ?? 'ENCRYPT_DECRYPT') !== 'ENCRYPT_DECRYPT'
      ) {
        throw new Error(
          `The local cloud has symmetric encryption keys only: ${resource.logicalId} is ${KeySpec}.`,
        );
      }
      const keyId = uuid(stableHex(32, resource.stack, resource.logicalId));
      keys.ensureKey(keyId);
      return { ref: keyId, attributes: { Arn: keys.arn(keyId), KeyId: keyId } };
    },
  };
}

/** The order of the pairs does not matter to KMS. */
function canonical(context: EncryptionContext): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function uuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function invalidCiphertext(): AwsError {
  return new AwsError('InvalidCiphertextException', '');
}
