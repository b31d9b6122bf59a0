import { type TenantMetric, tenantMetrics } from './metrics.ts';
import type { TenantRecord } from './model/tenant.ts';

/** What of a deployment its tenants' alarms are made with. */
export interface AlarmSettings {
  readonly deploymentName: string;
  /** ARN of the topic that pages. */
  readonly topicArn: string;
  /** Runbooks are `<runbookUrl>/<kind>.md`. */
  readonly runbookUrl: string;
  /** What is repaired by itself within that time pages nobody. */
  readonly pageAfterMinutes: number;
  /**
   * Name of the alarm that is on while a storm holds repairs back (S8), and so long afterwards that all is seen to be well
   * again: a storm pages once, instead of each tenant.
   */
  readonly stormAlarm: string;
}

/** One a runbook: docs/runbooks/<kind>.md. Each costs $0.10 a month, the composite that pages $0.50. */
export const alarmKinds = [
  'quorum-at-risk',
  'not-writable',
  'split-brain',
  'backup-not-fresh',
  'backup-not-proven',
  'space',
  'operation-stuck',
  'certificate-expiry',
] as const;
export type AlarmKind = (typeof alarmKinds)[number];

export interface MetricAlarm {
  readonly name: string;
  readonly description: string;
  readonly metric: TenantMetric;
  readonly below?: number;
  readonly above?: number;
  readonly periodSeconds: number;
  /** All of so many periods in a row. */
  readonly periods: number;
}

export interface AlarmsOf {
  readonly metric: readonly MetricAlarm[];
  /** The one that pages. */
  readonly composite: { readonly name: string; readonly description: string; readonly rule: string };
}

/** `<deployment>/<tenant>/<what>`: tenants' alarms are found by their names. */
export const alarmName = (deploymentName: string, tenantId: string, what: AlarmKind | 'page'): string =>
  `${alarmNamePrefix(deploymentName)}${tenantId}/${what}`;
export const alarmNamePrefix = (deploymentName: string): string => `${deploymentName}/`;

export const runbookOf = (runbookUrl: string, name: string): string =>
  `${runbookUrl.replace(/\/+$/, '')}/${name}.md`;

interface Rule {
  readonly metric: TenantMetric;
  readonly below?: number;
  readonly above?: number;
  readonly minutes: number;
  /** @default 300 */
  readonly periodSeconds?: number;
  readonly says: string;
}

/** News of a tenant that is well comes every three minutes, of one whose repair waits every five: no period may be without. */
const usualPeriodSeconds = 300;
/** Who cannot write is looked at every half minute. */
const shortPeriodSeconds = 120;

const fullShare = 0.9;
const certificateDays = 7;

/** undefined: the tenant has nothing of the kind. */
const rules: Readonly<
  Record<AlarmKind, (tenant: TenantRecord, settings: AlarmSettings) => Rule | undefined>
> = {
  // A cluster of one member never has a member to spare.
  'quorum-at-risk': ({ spec }, { pageAfterMinutes }) =>
    spec.members === 1
      ? undefined
      : {
          metric: 'WriteMargin',
          below: 1,
          minutes: pageAfterMinutes,
          says: 'One more member lost would stop writes, and the repair has not come about.',
        },
  'not-writable': () => ({
    metric: 'WriteMargin',
    below: 0,
    minutes: 4,
    periodSeconds: shortPeriodSeconds,
    says: 'The cluster takes no writes.',
  }),
  'split-brain': () => ({
    metric: 'WriteMargin',
    below: -1,
    minutes: 4,
    periodSeconds: shortPeriodSeconds,
    says: 'Members speak of two different clusters. Automation has stopped.',
  }),
  'backup-not-fresh': (_tenant, { pageAfterMinutes }) => ({
    metric: 'BackupAgeSeconds',
    above: pageAfterMinutes * 60,
    minutes: 5,
    says: `The newest state that could be restored is older than ${pageAfterMinutes} minutes.`,
  }),
  'backup-not-proven': (_tenant, { pageAfterMinutes }) => ({
    metric: 'BackupUnprovenSeconds',
    above: pageAfterMinutes * 60,
    minutes: 5,
    says: 'No restore has proven the backups in time, or one has found them wrong.',
  }),
  space: ({ spec }) => ({
    metric: 'DbSizeBytes',
    above: Math.round(fullShare * spec.quotaMiB * 1024 * 1024),
    minutes: 10,
    says: `The database uses more than ${fullShare * 100} % of its quota, and making room has not helped.`,
  }),
  'operation-stuck': (_tenant, { pageAfterMinutes }) => ({
    metric: 'StuckSeconds',
    above: pageAfterMinutes * 60,
    minutes: 5,
    says: 'An operation or a repair is getting nowhere.',
  }),
  'certificate-expiry': () => ({
    metric: 'CertificateDaysLeft',
    below: certificateDays,
    minutes: 5,
    says: `A certificate has less than ${certificateDays} days left and was not renewed.`,
  }),
};

/** From its creation to its end, but for the time in which nothing of it runs on purpose. */
export const wantsAlarms = ({ status }: TenantRecord): boolean =>
  status.phase !== 'hibernated' && status.phase !== 'failed';

/** The alarms that a tenant is to have; undefined: none. */
export function alarmsOf(tenant: TenantRecord, settings: AlarmSettings): AlarmsOf | undefined {
  if (!wantsAlarms(tenant)) return undefined;
  const { tenantId } = tenant;
  const nameOf = (what: AlarmKind | 'page') => alarmName(settings.deploymentName, tenantId, what);
  const metric = alarmKinds.flatMap((kind): MetricAlarm[] => {
    const rule = rules[kind](tenant, settings);
    if (rule === undefined) return [];
    const { says, minutes, periodSeconds = usualPeriodSeconds, ...of } = rule;
    const periods = Math.max(1, Math.round((minutes * 60) / periodSeconds));
    const description = `${tenantId}: ${says} What to do: ${runbookOf(settings.runbookUrl, kind)}`;
    return [{ name: nameOf(kind), description, periodSeconds, periods, ...of }];
  });
  const any = metric.map(({ name }) => `ALARM("${name}")`).join(' OR ');
  return {
    metric,
    composite: {
      name: nameOf('page'),
      description: `${tenantId} needs a person: which of its alarms is on tells why. What to do: ${runbookOf(settings.runbookUrl, 'README')}`,
      rule: `(${any}) AND NOT ALARM("${settings.stormAlarm}")`,
    },
  };
}

/** Which tenant an alarm is of. */
export function tenantOfAlarmName(deploymentName: string, name: string): string | undefined {
  const prefix = alarmNamePrefix(deploymentName);
  const [tenantId, what] = name.startsWith(prefix) ? name.slice(prefix.length).split('/') : [];
  return what === undefined ? undefined : tenantId;
}

/** The best of each period: what was well for a moment is not what a person is woken for. */
export const statisticOf = ({ metric }: MetricAlarm): 'Minimum' | 'Maximum' =>
  tenantMetrics[metric].worst === 'Minimum' ? 'Maximum' : 'Minimum';

const refreshMs = 24 * 3_600_000;

/** What of the record its alarms depend on: with another one they have to be looked at. */
export const alarmKey = (tenant: TenantRecord): string =>
  wantsAlarms(tenant) ? `${tenant.spec.members} ${tenant.spec.quotaMiB}` : 'none';

/** Whether the tenant's alarms may differ from what they are to be: the record has changed, or a day has passed. */
export function alarmsAreDue(tenant: TenantRecord, now: Date): boolean {
  const { alarms } = tenant;
  if (alarms === undefined) return wantsAlarms(tenant);
  return alarms.key !== alarmKey(tenant) || now.getTime() - Date.parse(alarms.at) > refreshMs;
}
