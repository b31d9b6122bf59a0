import { authorityLife } from './authority.ts';
import { holderOf } from './backup/duty.ts';
import { withStream } from './backup/stream.ts';
import { seenOf } from './conditions.ts';
import { dutyOf, goesFirst } from './duty.ts';
import { membersIn, quorumOf } from './members.ts';
import type { ConditionType } from './model/condition.ts';
import { sizeClasses } from './model/spec.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Observation } from './step.ts';
import { stuckSince } from './stuck.ts';

/**
 * Everything that goes to CloudWatch as a metric of ours. CloudWatch takes money per metric and month, and each tenant has
 * each of these: eight at most, so that they cost 8 × $0.30 = $2.40 a tenant and month (decisions/0100). What can be read from the
 * record, from logs or from AWS's own metrics is none.
 */
export const maxTenantMetrics = 8;

export interface MetricInfo {
  readonly unit: 'Count' | 'Percent' | 'Bytes' | 'Seconds';
  /** The statistic that tells the worst of a period; that of the alarms is the other one. */
  readonly worst: 'Minimum' | 'Maximum';
  /** For people. */
  readonly says: string;
}

/** Dimension of all of them: `TenantId`, and no other. Written every three minutes, more often while something is wrong or under way. */
export const tenantDimension = 'TenantId';

export const tenantMetrics = {
  /** 1 for three healthy members and for one by choice, 2 for five. 0: the next fault stops writes. -1: no writes. -2: two clusters (split brain). */
  WriteMargin: {
    unit: 'Count',
    worst: 'Minimum',
    says: 'Members that may fail before writes stop (1 for one by choice). 0: none. -1: no writes are taken. -2: two clusters.',
  },
  /** Of the member that uses most, as a share of its size class. */
  CpuPercent: { unit: 'Percent', worst: 'Maximum', says: 'CPU of the busiest member, of its size class.' },
  MemoryPercent: {
    unit: 'Percent',
    worst: 'Maximum',
    says: 'Memory of the member that uses most, of its size class.',
  },
  /** dbSize of the largest voter. */
  DbSizeBytes: { unit: 'Bytes', worst: 'Maximum', says: 'Size of the largest database file.' },
  /** How much of the newest writes, in seconds, would be lost with all members at once. */
  BackupAgeSeconds: {
    unit: 'Seconds',
    worst: 'Maximum',
    says: 'Age of the newest state that could be restored from S3.',
  },
  /** 0 while it is proven, or not yet due to be. */
  BackupUnprovenSeconds: {
    unit: 'Seconds',
    worst: 'Maximum',
    says: 'Since when a restore has failed to prove the backups, or none was tried.',
  },
  /** 0 while what is under way gets on. */
  StuckSeconds: {
    unit: 'Seconds',
    worst: 'Maximum',
    says: 'Since when the operation or repair under way has been getting nowhere.',
  },
  /** An authority has to go a year before its end: that long its clients' certificates may last. */
  CertificateDaysLeft: {
    unit: 'Count',
    worst: 'Minimum',
    says: "Days until a member's certificate ends, or too little of the authority is left to replace it calmly.",
  },
} as const satisfies Readonly<Record<string, MetricInfo>>;

export type TenantMetric = keyof typeof tenantMetrics;
export type TenantFigures = Readonly<Partial<Record<TenantMetric, number>>>;

/** Of the whole deployment, without any dimension. */
export const fleetMetrics = {
  /** Written once a round: its absence tells that nobody looks at tenants any more. */
  SweepRounds: {
    unit: 'Count',
    worst: 'Minimum',
    says: 'Rounds of the sweep. None: nobody looks at tenants.',
  },
  /** 1 while rule S8 holds all repairs but those of lost quorums back. */
  StormStop: {
    unit: 'Count',
    worst: 'Maximum',
    says: 'More tenants are sick than a fault could make: repairs stop.',
  },
  Tenants: { unit: 'Count', worst: 'Maximum', says: 'Tenants.' },
  SickTenants: { unit: 'Count', worst: 'Maximum', says: 'Tenants with a member that is sick or missing.' },
  /** 1 while the fleet patch stands still because it has stopped by itself. */
  PatchStopped: { unit: 'Count', worst: 'Maximum', says: 'The fleet patch has stopped by itself.' },
  OperationsFailed: { unit: 'Count', worst: 'Maximum', says: 'Operations that ended without success.' },
} as const satisfies Readonly<Record<string, MetricInfo>>;

export type FleetMetric = keyof typeof fleetMetrics;
export type FleetFigures = Readonly<Partial<Record<FleetMetric, number>>>;

/** Namespace of a deployment's metrics: two deployments of one account may each have a tenant of the same name. */
export const metricNamespace = (deploymentName: string): string => `EtcdNanny/${deploymentName}`;

const dayMs = 86_400_000;
const clientsYearMs = 365 * dayMs;

/**
 * What one look at a formed cluster says, to be called with the record as the look leaves it. A figure that nobody told is left
 * out: no data is not zero.
 */
export function tenantFigures(tenant: TenantRecord, observation: Observation, now: Date): TenantFigures {
  const figures: Record<TenantMetric, number | undefined> = {
    WriteMargin: writeMargin(tenant, observation, now),
    ...loadOf(tenant, observation),
    BackupAgeSeconds: backupAge(tenant, now),
    BackupUnprovenSeconds: falseFor(tenant, 'BackupProven', now),
    StuckSeconds: stuckSeconds(tenant, now),
    CertificateDaysLeft: certificateDays(tenant, observation, now),
  };
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
}

/**
 * What the record alone says, while another function works on a tenant that has no cluster to be looked at. Whoever asked for a
 * restore knows that nothing is written meanwhile.
 */
export function figuresAtWork(tenant: TenantRecord, now: Date): TenantFigures {
  const lost = tenant.status.phase === 'recovering';
  return { ...(lost && { WriteMargin: -1 }), StuckSeconds: stuckSeconds(tenant, now) };
}

/** What a pass of whoever works on the tenant says. */
export function figuresInPass(tenant: TenantRecord, observation: Observation, now: Date): TenantFigures {
  const duty = dutyOf(tenant);
  const has = tenant.incarnation.state === 'formed' && !goesFirst(tenant);
  return has && duty !== 'create' && duty !== 'delete'
    ? tenantFigures(withStream(tenant, observation), observation, now)
    : figuresAtWork(tenant, now);
}

/** Only a member that is known to be well counts: what nobody can confirm for minutes, a person has to look at. */
function writeMargin(tenant: TenantRecord, observation: Observation, now: Date): number | undefined {
  if (conditionOf(tenant, 'ClusterIdConsistent')?.status === 'False') return -2;
  const voters = membersIn(tenant, 'voting');
  if (voters.length === 0) return undefined;
  const nannies = voters.flatMap(({ name }) => observation.nannies[name] ?? []);
  // Nobody was asked.
  if (nannies.length === 0) return undefined;
  if (nannies.some((nanny) => nanny.reachable && nanny.status.alarms.length > 0)) return -1;
  const healthy = voters.filter((voter) => seenOf(voter, observation, now)?.healthy === true).length;
  // A cluster of one has none to spare by choice. It counts as safe, as its condition says: the alarm that it gets when it grows
  // looks back, and would page for the time before.
  if (voters.length === 1) return healthy === 1 ? 1 : -1;
  return Math.max(-1, healthy - quorumOf(voters.length));
}

function loadOf(
  tenant: TenantRecord,
  { nannies }: Observation,
): Record<'CpuPercent' | 'MemoryPercent' | 'DbSizeBytes', number | undefined> {
  const voters = membersIn(tenant, 'voting').flatMap(({ name, made }) => {
    const nanny = nannies[name];
    const size = sizeClasses[made?.size ?? tenant.spec.size];
    return nanny?.reachable ? [{ size, ...nanny.status }] : [];
  });
  return {
    CpuPercent: most(voters.map(({ load, size }) => load && (load.cpuCores / (size.cpu / 1024)) * 100)),
    MemoryPercent: most(
      voters.map(({ load, size }) => load && (load.memoryBytes / (size.memory * 1024 * 1024)) * 100),
    ),
    DbSizeBytes: most(voters.map(({ self }) => self?.dbSize)),
  };
}

/** Without any backup everything since the cluster's first write would be lost. */
function backupAge(tenant: TenantRecord, now: Date): number | undefined {
  const { backups, incarnation, spec } = tenant;
  if (incarnation.state !== 'formed') return undefined;
  const last = backups?.last;
  const full = secondsSince(
    last?.incarnation === incarnation.number ? last.contentAt : incarnation.formedAt,
    now,
  );
  const holder = holderOf(tenant);
  if (holder === undefined) return full;
  // Without a new full backup the chain grows for ever: the stream alone does not make the backup fresh.
  const overdue = full > 2 * spec.backup.intervalMinutes * 60;
  return Math.max(secondsSince(holder.upToDateAt, now), overdue ? full : 0);
}

function certificateDays(tenant: TenantRecord, { nannies }: Observation, now: Date): number | undefined {
  const ends = membersIn(tenant, 'voting').flatMap(({ name }) => {
    const nanny = nannies[name];
    const notAfter = nanny?.reachable ? nanny.status.certificates?.notAfter : undefined;
    return notAfter === undefined ? [] : [Date.parse(notAfter)];
  });
  if (tenant.pki !== undefined && !isBeingReplaced(tenant)) {
    ends.push(authorityLife(tenant).until.getTime() - clientsYearMs);
  }
  if (ends.length === 0) return undefined;
  return Math.round(((Math.min(...ends) - now.getTime()) / dayMs) * 100) / 100;
}

/** The next authority is there already. */
const isBeingReplaced = ({ pki }: TenantRecord): boolean =>
  pki?.rollover !== undefined && pki.rollover.phase !== 'wanted';

const stuckSeconds = (tenant: TenantRecord, now: Date): number =>
  secondsSince(stuckSince(tenant, now) ?? now.toISOString(), now);

const conditionOf = (tenant: TenantRecord, type: ConditionType) =>
  tenant.status.conditions.find((condition) => condition.type === type);

function falseFor(tenant: TenantRecord, type: ConditionType, now: Date): number | undefined {
  const condition = conditionOf(tenant, type);
  if (condition === undefined) return undefined;
  // At least one: a condition that has just turned is as false as one that did so long ago.
  return condition.status === 'False' ? Math.max(1, secondsSince(condition.since, now)) : 0;
}

const secondsSince = (since: string, now: Date): number =>
  Math.max(0, Math.round((now.getTime() - Date.parse(since)) / 1000));

function most(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.round(Math.max(...known) * 100) / 100;
}
