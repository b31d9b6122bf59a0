import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { type Authorization, AwsError, type JsonService } from '../../aws/service.ts';
import type { EncryptionContext, Keys } from './keys.ts';

const plaintextLimit = 4096;
const blob = z.base64().transform((text) => Buffer.from(text, 'base64'));
const context = { EncryptionContext: z.record(z.string(), z.string()).default({}) };
const algorithm = { EncryptionAlgorithm: z.literal('SYMMETRIC_DEFAULT').optional() };

const encryptSchema = z.strictObject({ KeyId: z.string(), Plaintext: blob, ...context, ...algorithm });
const decryptSchema = z.strictObject({
  KeyId: z.string().optional(),
  CiphertextBlob: blob,
  ...context,
  ...algorithm,
});
const dataKeySchema = z.strictObject({
  KeyId: z.string(),
  KeySpec: z.enum(['AES_256', 'AES_128']).optional(),
  NumberOfBytes: z.int().min(1).max(1024).optional(),
  ...context,
});
const describeSchema = z.strictObject({ KeyId: z.string() });

export function kmsService(keys: Keys, accountId: string): JsonService {
  const allow = (action: string, keyId: string, pairs: EncryptionContext = {}): Authorization[] => [
    {
      action: `kms:${action}`,
      resource: keys.arn(keyId),
      context: {
        ...Object.fromEntries(Object.entries(pairs).map(([name, value]) => [contextKey(name), value])),
        ...(Object.keys(pairs).length > 0 ? { 'kms:EncryptionContextKeys': Object.keys(pairs) } : {}),
      },
    },
  ];
  const sealed = (keyId: string, plaintext: Buffer, pairs: EncryptionContext) => ({
    CiphertextBlob: keys.encrypt(keyId, plaintext, pairs).toString('base64'),
    KeyId: keys.arn(keyId),
  });
  return {
    kind: 'json',
    name: 'kms',
    targetPrefix: 'TrentService',
    jsonVersion: '1.1',
    operations: {
      Encrypt: {
        authorize(raw: unknown) {
          const input = parse(encryptSchema, raw);
          return allow('Encrypt', keys.resolve(input.KeyId), input.EncryptionContext);
        },
        async run(raw: unknown) {
          const input = parse(encryptSchema, raw);
          if (input.Plaintext.length === 0 || input.Plaintext.length > plaintextLimit) {
            throw new AwsError('ValidationException', `Plaintext must have 1 to ${plaintextLimit} bytes.`);
          }
          return {
            ...sealed(keys.resolve(input.KeyId), input.Plaintext, input.EncryptionContext),
            EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
          };
        },
      },
      Decrypt: {
        authorize(raw: unknown) {
          const input = parse(decryptSchema, raw);
          return allow('Decrypt', keys.keyOf(input.CiphertextBlob), input.EncryptionContext);
        },
        async run(raw: unknown) {
          const input = parse(decryptSchema, raw);
          const { keyId, plaintext } = keys.decrypt(input.CiphertextBlob, input.EncryptionContext);
          if (input.KeyId !== undefined && keys.resolve(input.KeyId) !== keyId) {
            throw new AwsError(
              'IncorrectKeyException',
              'The key ID in the request does not identify a CMK that can perform this operation.',
            );
          }
          return {
            Plaintext: plaintext.toString('base64'),
            KeyId: keys.arn(keyId),
            EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
          };
        },
      },
      GenerateDataKey: {
        authorize(raw: unknown) {
          const input = parse(dataKeySchema, raw);
          return allow('GenerateDataKey', keys.resolve(input.KeyId), input.EncryptionContext);
        },
        async run(raw: unknown) {
          const input = parse(dataKeySchema, raw);
          const plaintext = randomBytes(input.NumberOfBytes ?? (input.KeySpec === 'AES_128' ? 16 : 32));
          return {
            ...sealed(keys.resolve(input.KeyId), plaintext, input.EncryptionContext),
            Plaintext: plaintext.toString('base64'),
          };
        },
      },
      DescribeKey: {
        authorize: (raw: unknown) => allow('DescribeKey', keys.resolve(parse(describeSchema, raw).KeyId)),
        async run(raw: unknown) {
          const keyId = keys.resolve(parse(describeSchema, raw).KeyId);
          return {
            KeyMetadata: {
              AWSAccountId: accountId,
              KeyId: keyId,
              Arn: keys.arn(keyId),
              CreationDate: keys.createdAt(keyId),
              Enabled: true,
              KeyState: 'Enabled',
              KeyUsage: 'ENCRYPT_DECRYPT',
              KeySpec: 'SYMMETRIC_DEFAULT',
              KeyManager: 'CUSTOMER',
              Origin: 'AWS_KMS',
              EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
              MultiRegion: false,
            },
          };
        },
      },
    },
  };
}

const contextKey = (name: string): string => `kms:EncryptionContext:${name}`;

function parse<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new AwsError('ValidationException', problems.join('; '));
}
