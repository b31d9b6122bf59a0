import { type Duration, RemovalPolicy, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import * as z from 'zod';
import { problemsOf } from '../../lambdas/api/issues.ts';
import { crossProblems, specDefaults, specInputSchema } from '../../lambdas/api/spec-input.ts';
import { clientUserSchema } from '../../lambdas/core/client-user.ts';
import { tenantIdSchema } from '../../lambdas/core/model/names.ts';
import type { TenantSpec } from '../../lambdas/core/model/spec.ts';
import { knownVersion } from '../../node-image/binaries/versions.ts';
import type { EtcdTenantProps } from './etcd-tenant.ts';

/** Of any copy of aws-cdk-lib: only its methods are used. */
const durationSchema = z.custom<Duration>(
  (value) => typeof (value as Duration | undefined)?.toMinutes === 'function',
  'must be a Duration, such as Duration.days(90)',
);
const removalPolicies = [RemovalPolicy.SNAPSHOT, RemovalPolicy.DESTROY, RemovalPolicy.RETAIN] as const;

const { maintenanceWindow, ...fields } = specInputSchema.shape;
/** The API's own schema of a spec, and what the construct has besides. */
const propsSchema = z.strictObject({
  ...fields,
  // Leaving it out takes a window away.
  maintenanceWindow: maintenanceWindow.unwrap().unwrap().optional(),
  version: z
    .string()
    .regex(/^\d+\.\d+(\.\d+)?$/, 'must be a version such as "3.6.16" or a minor such as "3.6"')
    .superRefine((version, context) => {
      const known = knownVersion(version);
      if (known?.state === 'refused')
        context.addIssue({ code: 'custom', message: `is refused: ${known.reason}` });
    })
    .optional(),
  tenantName: tenantIdSchema.optional(),
  user: clientUserSchema.optional(),
  credentialsLife: durationSchema.optional(),
  encryptionKey: z.unknown().optional(),
  removalPolicy: z
    .enum(removalPolicies, { error: 'must be RemovalPolicy.SNAPSHOT, DESTROY or RETAIN' })
    .optional(),
  adopt: z.boolean().optional(),
  timeout: durationSchema.optional(),
  deploymentName: z.string().min(1).optional(),
  apiUrl: z.string().min(1).optional(),
});

export interface ReadTenantProps {
  readonly tenantName: string;
  /** As the API takes it: stated fields only. */
  readonly spec: Readonly<Record<string, unknown>>;
  readonly user: string;
  readonly credentialsDays: number;
  readonly timeoutMinutes: number;
  readonly removalPolicy: (typeof removalPolicies)[number];
}

/** Values that only a deploy knows can be checked by nobody before it; these may be. */
const mayBeTokens = ['apiUrl', 'encryptionKey', 'deploymentName'];

/** @throws Error that lists all that is wrong, with the path of the construct */
export function readTenantProps(construct: Construct, id: string, props: EtcdTenantProps): ReadTenantProps {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(props))
    if (!mayBeTokens.includes(name) && Token.isUnresolved(value))
      problems.push(`${name} must be known when the app is synthesized: give the value itself, not a token`);
  const parsed = propsSchema.safeParse(props);
  if (!parsed.success)
    problems.push(...problemsOf(parsed.error).map(({ field, message }) => `${field} ${message}`));
  const tenantName = props.tenantName ?? id;
  if (props.tenantName === undefined && !tenantIdSchema.safeParse(id).success)
    problems.push(
      `tenantName is needed: the id "${id}" cannot be the tenant's name, which has 2 to 39 lower-case letters, digits or hyphens`,
    );
  if (problems.length === 0) problems.push(...together(props), ...times(props));
  if (problems.length > 0)
    throw new Error(
      `EtcdTenant ${construct.node.path}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  const stated = Object.entries(props).filter(
    ([name, value]) => name in specInputSchema.shape && value !== undefined,
  );
  return {
    tenantName,
    spec: Object.fromEntries(stated),
    user: props.user ?? 'root',
    credentialsDays: props.credentialsLife?.toDays() ?? 90,
    timeoutMinutes: props.timeout?.toMinutes() ?? 50,
    removalPolicy: props.removalPolicy ?? RemovalPolicy.SNAPSHOT,
  };
}

/** Rules over more than one field, as the API has them for a new tenant. */
function together(props: EtcdTenantProps): string[] {
  const volume = props.volume ?? specDefaults.volume;
  const spec = {
    volume,
    storageGiB: props.storageGiB ?? specDefaults.storageGiB[volume],
    quotaMiB: props.quotaMiB ?? specDefaults.quotaMiB,
  } as TenantSpec;
  return crossProblems(spec).map(({ field, message }) => `${field.replace('spec.', '')} ${message}`);
}

function times({ credentialsLife, timeout }: EtcdTenantProps): string[] {
  const days = credentialsLife?.toDays({ integral: false }) ?? 90;
  const minutes = timeout?.toMinutes({ integral: false }) ?? 50;
  return [
    // Looked at once a day, renewed at two thirds: a shorter life would leave no day for those who use it.
    ...(Number.isInteger(days) && days >= 3 && days <= 365
      ? []
      : ['credentialsLife must be from 3 to 365 whole days']),
    ...(Number.isInteger(minutes) && minutes >= 1 && minutes <= 55
      ? []
      : ['timeout must be from 1 to 55 whole minutes: CloudFormation waits for an hour at most']),
  ];
}
