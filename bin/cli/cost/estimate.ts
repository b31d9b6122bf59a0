import { alarmKinds } from '../../../lambdas/core/alarms.ts';
import { maxTenantMetrics } from '../../../lambdas/core/metrics.ts';
import { type SizeClass, sizeClasses } from '../../../lambdas/core/model/spec.ts';
import { assumptions as a } from './assumptions.ts';
import { type Calls, metered as meteredNow } from './metered.ts';
import { hoursPerMonth, prices as p, pricesAsOf, pricesRegion } from './prices.ts';

export interface CostInput {
  readonly tenants: number;
  readonly members: 1 | 3 | 5;
  readonly size: SizeClass;
  readonly volume: 'ebs' | 'ephemeral';
  readonly storageGiB: number;
  readonly cells: number;
  readonly egress: 'endpoints' | 'nat';
  /** Of one tenant, all the time. */
  readonly writesPerSecond: number;
  readonly valueBytes: number;
  readonly databaseMiB: number;
}

export interface Line {
  readonly what: string;
  readonly usd: number;
  /** How it comes about. */
  readonly of: string;
}

export interface Estimate {
  readonly region: string;
  readonly pricesAsOf: string;
  readonly input: CostInput;
  /** USD a month, all of them. */
  readonly total: number;
  readonly fixed: { readonly usd: number; readonly lines: readonly Line[] };
  readonly perTenant: { readonly usd: number; readonly lines: readonly Line[] };
  /** Part of `perTenant`: what the control plane itself does for one tenant that nobody uses. */
  readonly controlPlanePerTenant: number;
}

export type Metered = Readonly<Record<'idle' | 'busy' | 'fleet', Calls>>;

/** USD a month. */
export function estimateCost(input: CostInput, metered: Metered = meteredNow): Estimate {
  const fixed = fixedLines(input, metered);
  const perTenant = tenantLines(input, metered);
  return {
    region: pricesRegion,
    pricesAsOf,
    input,
    total: sumOf(fixed) + input.tenants * sumOf(perTenant),
    fixed: { usd: sumOf(fixed), lines: fixed },
    perTenant: { usd: sumOf(perTenant), lines: perTenant },
    controlPlanePerTenant: sumOf(controlPlaneLines(metered.idle)),
  };
}

const gb = (bytes: number): number => bytes / 1e9;
const month = hoursPerMonth;
const secondsPerMonth = month * 3600;

function fixedLines({ cells, egress, tenants }: CostInput, metered: Metered): Line[] {
  const endpoints = cells * a.interfaceEndpoints * a.zones * p.interfaceEndpoint.usd * month;
  const nat = cells * a.zones * p.natGateway.usd * month;
  const polls = cells * a.queues * a.pollsPerQueueHour * month;
  return [
    egress === 'nat'
      ? {
          what: 'NAT gateways',
          usd: nat,
          of: `${cells} x ${a.zones}, without traffic (${p.natTraffic.usd}/GB)`,
        }
      : {
          what: 'Interface endpoints',
          usd: endpoints,
          of: `${cells} x ${a.interfaceEndpoints} services x ${a.zones} zones`,
        },
    {
      what: 'Queues',
      usd: polls * p.sqsCall.usd,
      of: `Lambda polls ${cells * a.queues} queues all the time`,
    },
    {
      what: 'Sweep rounds',
      usd: cells * sumOf(controlPlaneLines(metered.fleet)),
      of: 'one a minute and cell, metered',
    },
    { what: 'KMS key', usd: p.kmsKey.usd, of: 'one' },
    { what: 'Names', usd: cells * p.hostedZone.usd, of: 'a private hosted zone a cell' },
    {
      what: 'Alarms of the fleet',
      usd: a.fleetAlarms * p.alarm.usd + p.compositeAlarm.usd,
      of: `${a.fleetAlarms}, and one composite that pages`,
    },
    { what: 'Dashboards', usd: a.dashboards * p.dashboard.usd, of: `${a.dashboards}` },
    {
      what: 'Less: metrics beyond 10,000',
      usd:
        -Math.max(0, tenants * maxTenantMetrics - 10_000) * (p.customMetric.usd - p.customMetricBeyond.usd),
      of: `${tenants * maxTenantMetrics} metrics`,
    },
  ].filter(({ usd }) => usd !== 0);
}

function tenantLines(input: CostInput, metered: Metered): Line[] {
  const { members, size, volume, storageGiB, writesPerSecond: writes, valueBytes, databaseMiB } = input;
  const { cpu, memory } = sizeClasses[size];
  const hour = (cpu / 1024) * p.fargateVcpu.usd + (memory / 1024) * p.fargateMemory.usd;
  const disk =
    volume === 'ebs' ? storageGiB * p.gp3.usd : Math.max(0, storageGiB - 20) * p.fargateStorage.usd * month;
  const database = databaseMiB * 1024 ** 2;
  const full = Math.max(1, Math.ceil(database / (6 * 1024 ** 2)) + 2);
  const written = writes * valueBytes * secondsPerMonth;
  const deltas = gb(writes * valueBytes * a.deltaRatio * 8 * 86_400);
  const fulls = gb(database * (a.fullsKept + a.fullsFormer));
  const segments = writes > 0 ? Math.min(writes, 1 / 5) * secondsPerMonth : 0;
  const replicated = members > 1 ? gb(written) * (members - 1) * a.replicationOverhead : 0;
  const served = gb(written) * (1 + a.readsPerWrite) * (2 / 3);
  const others: Line[] = [
    {
      what: 'Fargate',
      usd: members * hour * month,
      of: `${members} x ${cpu / 1024} vCPU, ${memory / 1024} GB`,
    },
    {
      what: 'Disks',
      usd: members * disk,
      of: `${members} x ${storageGiB} GiB ${volume === 'ebs' ? 'gp3' : 'ephemeral'}`,
    },
    {
      what: 'Backups at rest',
      usd: (fulls + deltas) * p.s3Storage.usd,
      of: `${a.fullsKept + a.fullsFormer} x ${databaseMiB} MiB (a week of former versions), changes of 8 days`,
    },
    {
      what: 'Backup requests',
      usd: (month * full + segments) * p.s3Write.usd,
      of: `${month} fulls of ${full} calls, ${Math.round(segments).toLocaleString('en')} segments`,
    },
    {
      what: 'Proof of backups',
      usd: (hour * a.drillMinutes * 30.4) / 60,
      of: `a task of ${a.drillMinutes} minutes a day`,
    },
    {
      what: 'Traffic between zones',
      usd: (replicated + served) * 2 * p.crossZone.usd,
      of: `${writes} writes/s of ${valueBytes} bytes, ${a.readsPerWrite} reads each`,
    },
    {
      what: 'Metrics',
      usd: maxTenantMetrics * p.customMetric.usd,
      of: `${maxTenantMetrics}`,
    },
    {
      what: 'Alarms',
      usd: alarmKinds.length * p.alarm.usd + p.compositeAlarm.usd,
      of: `${alarmKinds.length}, and one composite that pages`,
    },
    {
      what: 'Size advice',
      usd: a.metricsAsked * month * p.metricQuery.usd,
      of: `${a.metricsAsked} metrics asked for each hour`,
    },
    {
      what: 'Logs of members',
      usd: gb(members * a.memberLogBytesPerHour * month) * p.logs.usd,
      of: `${members} x ${a.memberLogBytesPerHour / 1000} KB an hour`,
    },
    {
      what: 'Table at rest',
      usd: gb(a.tableMB * 1e6) * p.dynamoStorage.usd,
      of: `${a.tableMB} MB`,
    },
    {
      what: 'API',
      usd: a.apiCallsPerDay * 30.4 * (p.httpApiCall.usd + callUsd(a.joinSeconds)),
      of: `${a.apiCallsPerDay} calls a day`,
    },
  ];
  const controlPlane = sumOf(controlPlaneLines(writes > 0 ? metered.busy : metered.idle));
  return [...others, { what: 'Control plane', usd: controlPlane, of: 'metered, see docs/cost.md' }].filter(
    ({ usd }) => usd !== 0,
  );
}

const sumOf = (lines: readonly Line[]): number => lines.reduce((total, { usd }) => total + usd, 0);
const callUsd = (seconds: number): number => p.lambdaCall.usd + seconds * a.lambdaGB * p.lambdaTime.usd;

/** Metered calls of one hour → USD a month. */
export function controlPlaneLines(calls: Calls): Line[] {
  const { looks, joins, dynamoReadUnits, dynamoWriteUnits, messages, s3Lists, nannyLooks } = calls;
  const times = (count: number): string => `${count.toLocaleString('en')} an hour`;
  return [
    {
      what: 'Lambda',
      usd: month * (looks * callUsd(a.lookSeconds) + joins * callUsd(a.joinSeconds)),
      of: `${times(looks)} looks of ${a.lookSeconds} s, ${joins} joins and reports`,
    },
    {
      what: 'DynamoDB writes',
      usd: month * dynamoWriteUnits * p.dynamoWrite.usd,
      of: times(dynamoWriteUnits),
    },
    { what: 'DynamoDB reads', usd: month * dynamoReadUnits * p.dynamoRead.usd, of: times(dynamoReadUnits) },
    {
      what: 'SQS',
      usd: month * 3 * messages * p.sqsCall.usd,
      of: `${times(messages)} messages, three calls each`,
    },
    {
      what: 'KMS',
      usd: (month * nannyLooks * p.kmsCall.usd) / a.looksPerDecrypt,
      of: `one decrypt in ${a.looksPerDecrypt} of ${nannyLooks} looks an hour that ask nannies`,
    },
    { what: 'Join API', usd: month * joins * p.restApiCall.usd, of: times(joins) },
    { what: 'S3 lists', usd: month * s3Lists * p.s3Write.usd, of: times(s3Lists) },
    {
      what: 'Logs',
      usd: gb(month * (looks + joins) * a.logBytesPerCall) * p.logs.usd,
      of: `${a.logBytesPerCall} bytes a call`,
    },
  ];
}
