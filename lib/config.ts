import * as z from 'zod';
import { etcdVersionSchema } from '../lambdas/core/model/names.ts';
import { cidrBlockSchema, nextCidrBlock } from './cidr.ts';

/** Values from `-c key=value` are strings; those from cdk.json are typed. Both are taken. */
const flag = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean(),
);
const number = (schema: z.ZodType<number>) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
    schema,
  );
const list = <S extends z.ZodType>(item: S) =>
  z.preprocess(
    (value) =>
      typeof value === 'string'
        ? value
            .replace(/^\[|\]$/g, '')
            .split(',')
            .map((part) => part.trim().replace(/^"|"$/g, ''))
        : value,
    z.array(item),
  );

/** Retention periods that CloudWatch Logs accepts. */
const retentionDays = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653,
] as const;

const contextSchema = z.strictObject({
  /** Prefix of all stack names, so that several deployments can live in one account. @default etcd-nanny */
  deploymentName: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,30}$/, 'must be 2 to 31 characters: a lower-case letter, then [a-z0-9-]')
    .default('etcd-nanny'),
  /** For try-outs: `cdk destroy` also deletes table, bucket and key. @default false: they are kept */
  ephemeral: flag.default(false),
  /** Number of data-plane units (VPC + ECS cluster). @default 1 */
  cells: number(z.int().min(1).max(8)).default(1),
  /** Exactly three Availability Zone names. @default the first three zones of the Region, chosen by CloudFormation */
  zones: list(z.string().regex(/^[a-z0-9-]+$/, 'must be an Availability Zone name'))
    .refine(
      (zones) => zones.length === 3 && new Set(zones).size === 3,
      'must be three different zones, e.g. us-east-1a,us-east-1b,us-east-1c',
    )
    .optional(),
  /** IPv4 block of the first cell's VPC, /16 to /20; further cells take the blocks after it. @default 10.42.0.0/16 */
  vpcCidr: cidrBlockSchema(16, 20).default('10.42.0.0/16'),
  /** IPv4 blocks that may reach etcd's client port besides the cell's own VPC (peered networks). @default none */
  clientCidrs: list(cidrBlockSchema(8, 32)).default([]),
  /** Ready-made image of node-image/. @default built from node-image/ at deploy, which needs Docker */
  nodeImageUri: z
    .string()
    .min(1, 'must be an image reference such as 123.dkr.ecr.eu-west-1.amazonaws.com/nanny:1')
    .optional(),
  /** etcd versions offered to tenants. @default all supported ones of node-image/etcd-versions.json */
  etcdVersions: list(etcdVersionSchema).optional(),
  /** Version of tenants that ask for none. @default the default of node-image/etcd-versions.json */
  defaultEtcdVersion: etcdVersionSchema.optional(),
  /** Most tenants that this deployment accepts. @default 100 */
  maxTenants: number(z.int().min(1).max(100_000)).default(100),
  /**
   * Days that S3 keeps each backup whatever anybody without s3:BypassGovernanceRetention does to it (Object Lock,
   * governance). Deleting only hides them until then. @default off
   */
  backupObjectLockDays: number(z.int().min(1).max(3_650)).optional(),
  /** Mail address that alarms page; SNS asks it to confirm. @default none: subscribe whatever pages you to the topic */
  alarmEmail: z.email('must be a mail address').optional(),
  /** Address below which your copy of the runbooks is, for the links in alarms. @default docs/runbooks, their place in the repository */
  runbookUrl: z
    .string()
    .min(1, 'must be an address such as https://wiki.example.com/runbooks')
    .default('docs/runbooks'),
  /** How long a repair or an operation may get nowhere before a person is paged. @default 15 */
  pageAfterMinutes: number(z.int().min(1).max(120)).default(15),
  /** How long logs of functions and tasks are kept. @default 30 */
  logRetentionDays: number(z.literal([...retentionDays])).default(30),
});

type Context = z.infer<typeof contextSchema>;

export interface CellConfig {
  /** `c1`, `c2`, ... Part of stack names and records: never renumber. */
  readonly id: string;
  readonly vpcCidr: string;
}

export interface Config extends Omit<Context, 'cells' | 'vpcCidr'> {
  readonly cells: readonly CellConfig[];
}

/** A setting in cdk context is wrong. The message lists every problem, one a line. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(
      `The settings in cdk context (cdk.json or -c key=value) are not valid:\n${problems.map((p) => `  - ${p}`).join('\n')}\n` +
        `Known keys: ${Object.keys(contextSchema.shape).join(', ')}.`,
    );
    this.name = 'ConfigError';
  }
}

/** What the CDK CLI keeps in context for itself, also from a user's own ~/.cdk.json. */
const keysOfCli = ['cli-telemetry', 'acknowledged-issue-numbers', 'tree'];

/** Others are keys of CDK itself: feature flags, options and lookup caches. */
const isOurs = (key: string) => !/[:@]/.test(key) && !keysOfCli.includes(key);

/** @throws ConfigError */
export function parseConfig(context: Readonly<Record<string, unknown>>): Config {
  const own = Object.fromEntries(Object.entries(context).filter(([key]) => isOurs(key)));
  const parsed = contextSchema.safeParse(own);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(describeIssue));
  const { cells, vpcCidr, ...rest } = parsed.data;
  const blocks = Array.from({ length: cells }, (_, index) => nextCidrBlock(vpcCidr, index));
  const beyond = blocks.indexOf(undefined);
  if (beyond >= 0)
    throw new ConfigError([
      `vpcCidr: there is no block for cell ${beyond + 1} after ${vpcCidr}; start lower`,
    ]);
  return {
    ...rest,
    cells: blocks.map((block, index) => ({ id: `c${index + 1}`, vpcCidr: block as string })),
  };
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${key}: unknown key`);
  return [`${issue.path.join('.')}: ${issue.message}`];
}
