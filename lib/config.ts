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

/** An object, or the same as JSON text from `-c`. */
const json = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'must be JSON' });
      return z.NEVER;
    }
  }, schema);

/** API Gateway fetches the issuer's keys itself, by https. Loopback is for issuers of tests on the local cloud. */
const issuerSchema = z
  .url()
  .refine(
    (text) => /^https:\/\/|^http:\/\/(127\.0\.0\.1|localhost)(:|\/|$)/.test(text),
    'must be an https URL, exactly as the tokens have it in `iss`',
  );

const jwtSchema = z.strictObject({
  /** `iss` of the tokens. `<issuer>/.well-known/openid-configuration` must name the keys (RSA only). */
  issuer: issuerSchema,
  /** One of them has to be in the tokens' `aud` (or `client_id`, where there is no `aud`). */
  audience: z.preprocess(
    (value) => (typeof value === 'string' ? [value] : value),
    z.array(z.string().min(1)).min(1),
  ),
  /** Claim with the ids of the tenants that a token gives authority over; `team-*` means all that begin so. */
  tenantsClaim: z.string().min(1).default('tenants'),
  /** Scope (in `scope` or `scp`) that gives authority over everything. */
  adminScope: z.string().regex(/^\S+$/, 'must be one scope').default('etcd-nanny/admin'),
});

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
  /** `cdk destroy` goes on although tenants live, whose clusters then stay behind without a control plane. @default false */
  destroyWithTenants: flag.default(false),
  /** Number of data-plane units (VPC + ECS cluster). At most three: four fill the 4 KB that Lambda gives the api function's environment, five the 500 resources of a stack. @default 1 */
  cells: number(z.int().min(1).max(3)).default(1),
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
  /**
   * How members and functions reach AWS. Each cell a month in us-east-1, before traffic (docs/deploy.md has the sums):
   * `endpoints`: an interface endpoint for each service, $197.10; there is no way out for data.
   * `nat`: a NAT gateway in each zone, $131.40; cheaper from six services on, while less than 1,877 GB pass.
   * `single-nat`: one NAT gateway, $58.40, for try-outs: without its zone no member can be started anywhere.
   * S3 and DynamoDB have their free endpoints always, the join API its own. @default endpoints
   */
  egress: z.enum(['endpoints', 'nat', 'single-nat']).default('endpoints'),
  /**
   * Callers of the tenant API come with a JSON Web Token of this issuer instead of signing with AWS credentials:
   * `{"issuer": "https://…", "audience": ["…"]}`. @default IAM
   */
  jwt: json(jwtSchema).optional(),
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
   * Most tenants of one cell; new ones go into the emptiest. A cell has one Cloud Map namespace and one VPC: 300 tenants
   * of five members are 1,500 names, plus one for each replacement under way. @default 300
   */
  maxTenantsPerCell: number(z.int().min(1).max(2_000)).default(300),
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

export type JwtConfig = z.infer<typeof jwtSchema>;
type Context = z.infer<typeof contextSchema>;

/** What may be set, as it is written. */
export type Settings = z.input<typeof contextSchema>;

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
