import * as z from 'zod';
import { InvalidRequestError } from '../../lambdas/core/errors.ts';
import { memberNameSchema, tenantIdSchema } from '../../lambdas/core/model/names.ts';

/** Everything the nanny takes from its environment; who sets what is in docs/internals.md. */
const envSchema = z.object({
  /** Base URL of the private REST API's stage. */
  NANNY_JOIN_URL: z.url({ protocol: /^https?$/ }),
  NANNY_DATA_DIR: z.string().startsWith('/', 'must be an absolute path'),
  /** `<dir>/<version>/etcd`. */
  NANNY_ETCD_DIR: z.string().startsWith('/', 'must be an absolute path'),
  NANNY_TENANT: tenantIdSchema,
  NANNY_MEMBER: memberNameSchema,
  /** `1`: a worker, beside the cluster. Absent: a member. */
  NANNY_WORK: z.literal('1').optional(),
  AWS_REGION: z.string().min(1),
  ECS_CONTAINER_METADATA_URI_V4: z.url(),
  AWS_CONTAINER_CREDENTIALS_FULL_URI: z.url().optional(),
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: z.string().startsWith('/').optional(),
  AWS_CONTAINER_AUTHORIZATION_TOKEN: z.string().optional(),
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: z.string().optional(),
  /** As the AWS SDKs know them; the first goes before the second. */
  AWS_ENDPOINT_URL_S3: z.url({ protocol: /^https?$/ }).optional(),
  AWS_ENDPOINT_URL: z.url({ protocol: /^https?$/ }).optional(),
});

export interface NannyEnv {
  readonly joinUrl: string;
  readonly dataDir: string;
  readonly etcdDir: string;
  readonly tenantId: string;
  readonly memberName: string;
  readonly works: boolean;
  readonly region: string;
  readonly metadataUri: string;
  /** Instead of S3's own; undefined on AWS. */
  readonly s3Endpoint: string | undefined;
  readonly credentials: {
    readonly uri: string;
    readonly token?: string;
    readonly tokenFile?: string;
  };
}

/** Where ECS serves container credentials when it gives only a path. */
const ecsCredentialsHost = 'http://169.254.170.2';

/** @throws InvalidRequestError that names every variable which is missing or wrong */
export function parseEnv(variables: Readonly<Record<string, string | undefined>>): NannyEnv {
  const parsed = envSchema.safeParse(variables);
  const problems = (parsed.error?.issues ?? []).map((issue) => ({
    field: issue.path.join('.'),
    message: variables[String(issue.path[0])] === undefined ? 'is not set' : issue.message,
  }));
  const { AWS_CONTAINER_CREDENTIALS_FULL_URI: full, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: relative } =
    variables;
  if (full === undefined && relative === undefined) {
    problems.push({
      field: 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
      message: 'is not set: the task needs a task role',
    });
  }
  if (!parsed.success || problems.length > 0) {
    const list = problems.map(({ field, message }) => `${field} ${message}`).join('; ');
    throw new InvalidRequestError(
      `The nanny cannot start with this environment: ${list}. It is meant to be started by ECS from the task definition of a cell.`,
      problems,
    );
  }
  const env = parsed.data;
  return {
    joinUrl: env.NANNY_JOIN_URL.replace(/\/+$/, ''),
    dataDir: env.NANNY_DATA_DIR,
    etcdDir: env.NANNY_ETCD_DIR,
    tenantId: env.NANNY_TENANT,
    memberName: env.NANNY_MEMBER,
    works: env.NANNY_WORK !== undefined,
    region: env.AWS_REGION,
    metadataUri: env.ECS_CONTAINER_METADATA_URI_V4,
    s3Endpoint: env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL,
    credentials: {
      uri: full ?? `${ecsCredentialsHost}${relative}`,
      token: env.AWS_CONTAINER_AUTHORIZATION_TOKEN,
      tokenFile: env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    },
  };
}
