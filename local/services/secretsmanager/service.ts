import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import {
  type Authorization,
  AwsError,
  type Caller,
  type CloudContext,
  type JsonService,
} from '../../aws/service.ts';
import type { Secret, Secrets } from './secrets.ts';

const id = { SecretId: z.string().min(1) };
const token = { ClientRequestToken: z.string().min(32).max(64).optional() };
const value = z.string().min(1).max(65_536);

const schemas = {
  CreateSecret: z.strictObject({
    Name: z.string().regex(/^[A-Za-z0-9/_+=.@-]{1,512}$/),
    ...token,
    Description: z.string().optional(),
    KmsKeyId: z.string().optional(),
    SecretString: value.optional(),
  }),
  PutSecretValue: z.strictObject({ ...id, ...token, SecretString: value }),
  UpdateSecret: z.strictObject({
    ...id,
    ...token,
    Description: z.string().optional(),
    KmsKeyId: z.string().optional(),
    SecretString: value.optional(),
  }),
  GetSecretValue: z.strictObject({
    ...id,
    VersionId: z.string().optional(),
    VersionStage: z.enum(['AWSCURRENT', 'AWSPREVIOUS']).optional(),
  }),
  DescribeSecret: z.strictObject(id),
  DeleteSecret: z.strictObject({
    ...id,
    RecoveryWindowInDays: z.int().min(7).max(30).optional(),
    ForceDeleteWithoutRecovery: z.boolean().optional(),
  }),
};

type Name = keyof typeof schemas;

/** Secrets Manager with two versions a secret and without rotation. */
export function secretsService(
  secrets: Secrets,
  context: Pick<CloudContext, 'accountId' | 'region' | 'authorize'>,
): JsonService {
  const { accountId, region } = context;
  /** With a key of one's own it works with the rights of its caller. The account's default key asks for none. */
  const useKey = (caller: Caller, secret: Secret, actions: readonly string[]): void => {
    const { kmsKeyId } = secret;
    if (kmsKeyId === undefined || kmsKeyId === 'alias/aws/secretsmanager') return;
    const resource = kmsKeyId.startsWith('arn:')
      ? kmsKeyId
      : `arn:aws:kms:${region}:${accountId}:key/${kmsKeyId}`;
    for (const action of actions)
      context.authorize(caller, {
        action,
        resource,
        context: {
          'kms:ViaService': `secretsmanager.${region}.amazonaws.com`,
          'kms:EncryptionContext:SecretARN': secret.arn,
        },
      });
  };
  const on = (action: Name, secretId: string): Authorization[] => [
    { action: `secretsmanager:${action}`, resource: secrets.find(secretId).arn },
  ];
  const described = ({ arn, name }: Secret) => ({ ARN: arn, Name: name });
  const stagesOf = (secret: Secret, versionId: string): string[] =>
    secret.versions.at(-1)?.id === versionId ? ['AWSCURRENT'] : ['AWSPREVIOUS'];
  const write = (caller: Caller, secret: Secret, text: string, clientToken: string = randomUUID()) => {
    useKey(caller, secret, ['kms:GenerateDataKey', 'kms:Decrypt']);
    const version = secrets.put(secret, text, clientToken);
    return { ...described(secret), VersionId: version.id, VersionStages: ['AWSCURRENT'] };
  };
  const operation = <N extends Name>(
    name: N,
    run: (input: z.infer<(typeof schemas)[N]>, caller: Caller) => unknown,
    authorize: (input: z.infer<(typeof schemas)[N]>) => Authorization[] = (input) =>
      on(name, (input as { SecretId: string }).SecretId),
  ) => ({
    authorize: (raw: unknown) => authorize(parse(schemas[name] as z.ZodType, raw) as never),
    run: async (raw: unknown, caller: Caller) => run(parse(schemas[name] as z.ZodType, raw) as never, caller),
  });
  return {
    kind: 'json',
    name: 'secretsmanager',
    targetPrefix: 'secretsmanager',
    jsonVersion: '1.1',
    operations: {
      CreateSecret: operation(
        'CreateSecret',
        ({ Name, Description, KmsKeyId, SecretString, ClientRequestToken }, caller) => {
          const suffix = randomUUID().replaceAll('-', '').slice(0, 6);
          const secret = secrets.create(Name, suffix, { description: Description, kmsKeyId: KmsKeyId });
          return SecretString === undefined
            ? described(secret)
            : write(caller, secret, SecretString, ClientRequestToken);
        },
        ({ Name }) => [
          {
            action: 'secretsmanager:CreateSecret',
            resource: `arn:aws:secretsmanager:${region}:${accountId}:secret:${Name}`,
          },
        ],
      ),
      PutSecretValue: operation('PutSecretValue', ({ SecretId, SecretString, ClientRequestToken }, caller) =>
        write(caller, secrets.usable(SecretId), SecretString, ClientRequestToken),
      ),
      UpdateSecret: operation(
        'UpdateSecret',
        ({ SecretId, SecretString, ClientRequestToken, ...rest }, caller) => {
          const secret = secrets.usable(SecretId);
          if (rest.Description !== undefined) secrets.change(secret, { description: rest.Description });
          if (rest.KmsKeyId !== undefined) secrets.change(secret, { kmsKeyId: rest.KmsKeyId });
          return SecretString === undefined
            ? described(secret)
            : write(caller, secret, SecretString, ClientRequestToken);
        },
      ),
      GetSecretValue: operation(
        'GetSecretValue',
        ({ SecretId, VersionId, VersionStage = 'AWSCURRENT' }, caller) => {
          const secret = secrets.usable(SecretId);
          const version =
            VersionId === undefined
              ? secret.versions.at(VersionStage === 'AWSCURRENT' ? -1 : -2)
              : secret.versions.find((one) => one.id === VersionId);
          if (!version)
            throw new AwsError(
              'ResourceNotFoundException',
              `Secrets Manager can't find the specified secret value for staging label: ${VersionStage}`,
            );
          useKey(caller, secret, ['kms:Decrypt']);
          return {
            ...described(secret),
            VersionId: version.id,
            SecretString: version.value,
            VersionStages: stagesOf(secret, version.id),
            CreatedDate: new Date(version.createdAt),
          };
        },
      ),
      DescribeSecret: operation('DescribeSecret', ({ SecretId }) => {
        const secret = secrets.find(SecretId);
        return {
          ...described(secret),
          Description: secret.description,
          KmsKeyId: secret.kmsKeyId,
          CreatedDate: new Date(secret.createdAt),
          ...(secret.deletedAt ? { DeletedDate: new Date(secret.deletedAt) } : {}),
          VersionIdsToStages: Object.fromEntries(secret.versions.map(({ id }) => [id, stagesOf(secret, id)])),
        };
      }),
      DeleteSecret: operation('DeleteSecret', ({ SecretId, ForceDeleteWithoutRecovery }) => {
        const secret = secrets.find(SecretId);
        const deletedAt = new Date().toISOString();
        if (ForceDeleteWithoutRecovery) secrets.remove(secret.arn);
        else secrets.change(secret, { deletedAt });
        return { ...described(secret), DeletionDate: new Date(deletedAt) };
      }),
    },
  };
}

function parse(schema: z.ZodType, raw: unknown): unknown {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new AwsError('InvalidParameterException', problems.join('; '));
}
