import type { Member } from '../../lambdas/core/model/member.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { newTenant } from '../fakes/sim/tenants.ts';

export const now = new Date('2026-01-01T01:00:00Z');
export const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
export const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
export const names = ['maaaaaaaa', 'mbbbbbbbb', 'mcccccccc'];

export const member = (name: string, index: number): Member => ({
  state: 'voting',
  name,
  zone: zones[index]!,
  requestedAt: ago(900),
  taskArn: `task/${index}`,
  launchedAt: ago(900),
  ip: `10.0.0.${index}`,
  joinedAt: ago(900),
  etcdId: `${index + 1}`,
});

type Remediation = NonNullable<TenantRecord['remediation']>;

/** Three voters whose quorum has been lost for a minute, and a recovery under way. */
export const lostQuorum = (
  remediation: Partial<Remediation>,
  over: Partial<TenantRecord> = {},
): TenantRecord => ({
  ...newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record,
  status: { phase: 'recovering', conditions: [], since: ago(60), reason: 'r' },
  incarnation: {
    state: 'formed',
    number: 1,
    token: 't',
    clusterId: 'c',
    initialCluster: {},
    formedAt: ago(900),
  },
  members: Object.fromEntries(names.map((name, index) => [name, member(name, index)])),
  remediation: {
    operationId: 'op',
    kind: 'recover',
    since: ago(60),
    reason: 'r',
    quorumLostSince: ago(60),
    ...remediation,
  },
  ...over,
});
