import * as z from 'zod';
import { authorityLife } from './authority.ts';
import { clientUrl, membersIn, membersOf } from './members.ts';
import { conditionSchema } from './model/condition.ts';
import { type Member, madeSchema } from './model/member.ts';
import { etcdIdSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from './model/names.ts';
import { type Operation, operationSchema } from './model/operation.ts';
import { sizingSchema } from './model/sizing.ts';
import { tenantSpecSchema } from './model/spec.ts';
import type { Phase, TenantRecord } from './model/tenant.ts';
import type { Cell } from './ports.ts';
import { compareVersions } from './version-order.ts';
import { workPhases } from './wire/work.ts';

const phases = [
  'creating',
  'available',
  'updating',
  'degraded',
  'recovering',
  'hibernated',
  'deleting',
  'failed',
] as const satisfies Phase[];

/** A member as people see it. What is not known yet is null, so that every key is always there. */
export const memberDocumentSchema = z.strictObject({
  name: memberNameSchema,
  zone: z.string(),
  ip: z.string().nullable(),
  clientUrl: z.string().nullable(),
  etcdId: etcdIdSchema.nullable(),
  /** Its part in the etcd cluster: `none` before it is in the cluster and once it is on its way out. */
  role: z.enum(['voting', 'learner', 'none']),
  state: z.enum(['requested', 'launching', 'joined', 'learner', 'voting', 'leaving']),
  isLeader: z.boolean(),
  version: z.string().nullable(),
  healthy: z.boolean(),
  /** Why it is not healthy. */
  problem: z.string().nullable(),
  taskArn: z.string().nullable(),
  /** What it was launched as; where it differs from the spec it is going to be replaced. */
  made: madeSchema.nullable(),
  /** Somebody asked for it to be replaced, for this reason. */
  replaceRequested: z.string().nullable(),
});

export const tenantDocumentSchema = z.strictObject({
  tenantId: tenantIdSchema,
  phase: z.enum(phases),
  /** Why the phase is what it is; null where the phase says it all. */
  reason: z.string().nullable(),
  conditions: z.array(conditionSchema),
  clusterId: etcdIdSchema.nullable(),
  /** The oldest version that a member runs; the wanted one until members have reported. */
  version: z.string(),
  /** Client URLs of the voting members. Empty until the cluster has formed. */
  endpoints: z.array(z.string()),
  dnsName: z.string(),
  members: z.array(memberDocumentSchema),
  spec: tenantSpecSchema,
  cell: z.string(),
  createdAt: isoTimeSchema,
  generation: z.int(),
  observedGeneration: z.int(),
  /** The operation under way, or null. */
  operation: z
    .strictObject({
      operationId: z.string(),
      kind: operationSchema.shape.kind,
      state: operationSchema.shape.state,
      message: z.string(),
    })
    .nullable(),
  /** The repair under way, or null. It goes before `operation`. */
  remediation: z
    .strictObject({
      operationId: z.string(),
      kind: z.enum(['remediate', 'recover']),
      since: isoTimeSchema,
      reason: z.string(),
      message: z.string(),
      /** A person has to agree (POST …/recovery/approve) before it goes on; `reason` says what would be lost. */
      waitsForApproval: z.boolean(),
    })
    .nullable(),
  /** Asleep since then, with everything in a snapshot; null while it is awake. */
  hibernated: z.strictObject({ since: isoTimeSchema, revision: z.int(), bytes: z.int() }).nullable(),
  /** A task beside the cluster that makes something of a backup, or null. */
  worker: z
    .strictObject({
      purpose: z.enum(['drill', 'restore']),
      /** Tasks that have tried it, this one included. */
      attempt: z.int(),
      since: isoTimeSchema,
      phase: z.enum(['launching', ...workPhases, 'done', 'failed']),
      /** Of the phase, where there is something to count. */
      bytes: z.int().nullable(),
      totalBytes: z.int().nullable(),
    })
    .nullable(),
  /** Who signs the tenant's certificates, and how far its replacement is; null until there is one. */
  certificateAuthority: z
    .strictObject({
      validUntil: isoTimeSchema,
      /** null: none is under way. */
      rotation: z
        .strictObject({
          phase: z.enum(['wanted', 'trust', 'grace', 'leaves', 'retire']),
          since: isoTimeSchema,
          reason: z.string(),
          /** In the grace: when the old one is taken out, because no client certificate of it is valid any more. */
          oldTrustedUntil: isoTimeSchema.nullable(),
        })
        .nullable(),
    })
    .nullable(),
  /** What the load asks for, as of `at`; null until it was asked. Followed only where `spec.autoscale` says so. */
  sizeAdvice: z
    .strictObject({
      at: isoTimeSchema,
      /** null: too little is known. */
      recommended: sizingSchema.shape.recommended.unwrap().nullable(),
      reason: z.string(),
      /** Why autoscale does not follow it now. */
      held: z.string().nullable(),
    })
    .nullable(),
  /** Automation is off since then, or null. */
  paused: z.strictObject({ since: isoTimeSchema, by: z.string(), reason: z.string() }).nullable(),
});

export type TenantDocument = z.infer<typeof tenantDocumentSchema>;
export type MemberDocument = z.infer<typeof memberDocumentSchema>;

/** Name that lists the addresses of all members, in the private DNS namespace of the cell. */
export const dnsNameOf = (tenantId: string, cell: Pick<Cell, 'namespaceName'>): string =>
  `${tenantId}.${cell.namespaceName}`;

export const clusterIdOf = (tenant: TenantRecord): string | undefined =>
  tenant.incarnation.state === 'formed' ? tenant.incarnation.clusterId : undefined;

/** Client URLs of the voting members, in the order of their names. */
export const endpointsOf = (tenant: TenantRecord): string[] =>
  membersIn(tenant, 'voting').map((member) => clientUrl(member.ip));

function memberDocument(member: Member, replaceRequested: string | undefined): MemberDocument {
  const seen = 'seen' in member ? member.seen : undefined;
  const ip = 'ip' in member ? (member.ip ?? null) : null;
  const inCluster = member.state === 'voting' || member.state === 'learner';
  return {
    name: member.name,
    zone: member.zone,
    ip,
    clientUrl: ip === null ? null : clientUrl(ip),
    etcdId: 'etcdId' in member ? (member.etcdId ?? null) : null,
    role: inCluster ? (member.state as 'voting' | 'learner') : 'none',
    state: member.state,
    isLeader: inCluster && (seen?.isLeader ?? false),
    version: seen?.version ?? null,
    healthy: inCluster && (seen?.healthy ?? false),
    problem: seen?.problem ?? null,
    taskArn: 'taskArn' in member ? (member.taskArn ?? null) : null,
    made: member.made ?? null,
    replaceRequested: replaceRequested ?? null,
  };
}

function runningVersion(tenant: TenantRecord): string {
  const seen = membersIn(tenant, 'voting').flatMap((member) => member.seen?.version ?? []);
  return seen.sort(compareVersions)[0] ?? tenant.spec.version;
}

/** Quorum is lost for good, and a person has to agree to what a recovery would lose. */
export const waitsForApproval = ({ remediation, spec }: TenantRecord): boolean =>
  remediation?.kind === 'recover' &&
  remediation.recovery !== undefined &&
  remediation.approved !== true &&
  (spec.recovery === 'approve' ||
    remediation.recovery.mustBeApproved ||
    remediation.recovery.heldInStorm === true);

function authorityDocument(tenant: TenantRecord): TenantDocument['certificateAuthority'] {
  if (tenant.pki === undefined) return null;
  const { rollover } = tenant.pki;
  return {
    validUntil: authorityLife(tenant).until.toISOString(),
    rotation:
      rollover === undefined
        ? null
        : {
            phase: rollover.phase,
            since: rollover.since,
            reason: rollover.reason,
            oldTrustedUntil: rollover.phase === 'grace' ? rollover.until : null,
          },
  };
}

function hibernatedDocument({ status }: TenantRecord): TenantDocument['hibernated'] {
  if (status.phase !== 'hibernated') return null;
  const { revision, bytes } = status.source;
  return { since: status.since, revision, bytes };
}

function workerDocument({ work }: TenantRecord): TenantDocument['worker'] {
  if (work === undefined) return null;
  const { purpose, attempt, progress, requestedAt: since } = work;
  const running = progress?.state === 'running' ? progress : undefined;
  const phase =
    running?.phase ?? (progress?.state === 'running' ? undefined : progress?.state) ?? 'launching';
  const [bytes, totalBytes] = [running?.bytes ?? null, running?.totalBytes ?? null];
  return { purpose, attempt, since, phase, bytes, totalBytes };
}

/** @param operations those that the record names, when they could be read */
export function tenantDocument(
  tenant: TenantRecord,
  cell: Pick<Cell, 'namespaceName'>,
  operations: readonly Operation[] = [],
): TenantDocument {
  const { operation: current, remediation } = tenant;
  const found = (id: string | undefined) => operations.find(({ operationId }) => operationId === id);
  const operation = found(current?.operationId);
  return {
    tenantId: tenant.tenantId,
    phase: tenant.status.phase,
    reason: 'reason' in tenant.status ? tenant.status.reason : null,
    conditions: tenant.status.conditions,
    clusterId: clusterIdOf(tenant) ?? null,
    version: runningVersion(tenant),
    endpoints: endpointsOf(tenant),
    dnsName: dnsNameOf(tenant.tenantId, cell),
    members: membersOf(tenant).map((member) => memberDocument(member, tenant.replaceRequests?.[member.name])),
    spec: tenant.spec,
    cell: tenant.cell,
    createdAt: tenant.createdAt,
    generation: tenant.generation,
    observedGeneration: tenant.observedGeneration,
    operation:
      current === undefined
        ? null
        : { ...current, state: operation?.state ?? 'pending', message: operation?.message ?? '' },
    remediation:
      remediation === undefined
        ? null
        : {
            operationId: remediation.operationId,
            kind: remediation.kind,
            since: remediation.since,
            reason: remediation.reason,
            message: found(remediation.operationId)?.message ?? '',
            waitsForApproval: waitsForApproval(tenant),
          },
    hibernated: hibernatedDocument(tenant),
    worker: workerDocument(tenant),
    certificateAuthority: authorityDocument(tenant),
    sizeAdvice: tenant.sizing
      ? {
          at: tenant.sizing.at,
          recommended: tenant.sizing.recommended ?? null,
          reason: tenant.sizing.reason,
          held: tenant.sizing.held ?? null,
        }
      : null,
    paused: tenant.paused ?? null,
  };
}
