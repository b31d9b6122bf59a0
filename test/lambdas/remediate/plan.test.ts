import { describe, expect, test } from 'vitest';
import type { Member } from '../../../lambdas/core/model/member.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { Decision, Observation } from '../../../lambdas/core/step.ts';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { planRemediate } from '../../../lambdas/remediate/plan.ts';
import { newTenant } from '../../fakes/sim/tenants.ts';

const now = new Date('2026-01-01T01:00:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
const names = ['maaaaaaaa', 'mbbbbbbbb', 'mcccccccc'];
const taskDefinitions = { ebs: 'e:1', ephemeral: 'x:1' };
const MiB = 2 ** 20;

const voter = (index: number, over: object = {}): Member => ({
  state: 'voting',
  name: names[index]!,
  zone: zones[index]!,
  requestedAt: ago(9000),
  taskArn: `task/${index}`,
  launchedAt: ago(9000),
  ip: `10.0.0.${index}`,
  joinedAt: ago(9000),
  etcdId: `${index + 1}`,
  ...over,
});
const sickFor = (seconds: number) => ({
  seen: { at: ago(seconds), healthy: false, isLeader: false, sickSince: ago(seconds) },
});
const members = (...some: Member[]) => Object.fromEntries(some.map((member) => [member.name, member]));
const tenant = (over: Partial<TenantRecord> = {}): TenantRecord => ({
  ...newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }).record,
  operation: undefined,
  status: { phase: 'degraded', conditions: [], since: ago(60), reason: 'r' },
  incarnation: {
    state: 'formed',
    number: 1,
    token: 't',
    clusterId: 'c',
    initialCluster: {},
    formedAt: ago(900),
  },
  members: members(voter(0), voter(1), voter(2)),
  remediation: { operationId: 'op', kind: 'remediate', since: ago(60), reason: 'r' },
  ...over,
});

interface Scene {
  readonly gone?: readonly number[];
  readonly cut?: readonly number[];
  readonly self?: object;
  readonly status?: Partial<NannyStatus>;
  readonly clusterIds?: readonly string[];
}
function look({ gone = [], cut = [], self = {}, status = {}, clusterIds = [] }: Scene = {}): Observation {
  const reachable = (index: number) => !gone.includes(index) && !cut.includes(index);
  const list = names.map((name, index) => ({
    etcdId: `${index + 1}`,
    name,
    peerUrls: [`https://10.0.0.${index}:2380`],
    clientUrls: [],
    isLearner: false,
    reachable: reachable(index),
  }));
  const statusOf = (index: number) => ({
    memberName: names[index],
    incarnation: 1,
    etcd: { state: 'ready', restarts: 0 },
    alarms: [],
    self: {
      etcdId: `${index + 1}`,
      clusterId: clusterIds[index] ?? 'c',
      version: '3.6.16',
      revision: 5000,
      raftTerm: 2,
      raftIndex: 9,
      raftAppliedIndex: 9,
      leader: reachable(0) ? '1' : '3',
      isLearner: false,
      dbSize: MiB,
      dbSizeInUse: MiB,
      errors: [],
      ...self,
    },
    view: { clusterId: clusterIds[index] ?? 'c', linearizable: true, members: list },
    ...status,
  });
  return {
    names: [...names],
    tasks: Object.fromEntries(
      names.map((_, index) => {
        const lastStatus = gone.includes(index) ? 'STOPPED' : 'RUNNING';
        return [`task/${index}`, { taskArn: `task/${index}`, lastStatus, desiredStatus: lastStatus }];
      }),
    ),
    nannies: Object.fromEntries(
      names.map((name, index) => [
        name,
        reachable(index)
          ? { reachable: true, status: statusOf(index) as never }
          : { reachable: false, problem: 'timeout' },
      ]),
    ),
  };
}
/** They answer and form no quorum. */
const mute: Scene = {
  status: { etcd: { state: 'not-ready', restarts: 0 } as never, view: undefined as never },
};
const lost = () => ({ ...tenant().remediation!, quorumLostSince: ago(60) });
const recovery = { incarnation: 1, survivor: 'mcccccccc', key: 'k', mustBeApproved: true };
const savedAt = (revision: number) => ({
  kind: 'survivor' as const,
  key: 'k',
  sha256: 'f',
  bytes: 1,
  revision,
  bumpRevision: 1,
});
const say = (decision: Decision): string => {
  if (decision.kind === 'wait') return `wait ${decision.name}`;
  if (decision.kind !== 'step') return decision.kind;
  const { step } = decision;
  if (step.kind === 'move-leadership') return `${step.kind} ${step.to}`;
  return 'member' in step ? `${step.kind} ${step.member}` : step.kind;
};
const full = { dbSize: 1950 * MiB, dbSizeInUse: 100 * MiB };
const off = { mode: 'off' as const };
/** One more, on its way in. */
const coming = (over: object = {}, ...others: Member[]): Partial<TenantRecord> => {
  const name = 'mdddddddd';
  const born = { name, zone: zones[1]!, requestedAt: ago(1) };
  const launched = 'state' in over ? {} : { state: 'launching', taskArn: 'task/3', launchedAt: ago(1) };
  const newcomer = { ...born, ...launched, ...over } as Member;
  return { members: members(voter(0), voter(1), voter(2), ...others, newcomer) };
};
const failing = {
  backoff: { duty: 'remediate' as const, failures: 1, until: ago(-2), reason: 'no capacity' },
};
const spec = (over: object) => ({ spec: { ...tenant().spec, ...over } });
const nospace = { alarms: [{ etcdId: '1', alarm: 'NOSPACE' as const }] };

describe('what is seen → what is done', () => {
  test.each<[string, Partial<TenantRecord>, Scene, string]>([
    ['all is well', {}, {}, 'end-remediation'],
    ['split brain', {}, { clusterIds: ['c', 'd', 'c'] }, 'blocked'],
    ['paused', { paused: { since: ago(9), by: 'me', reason: 'r' } }, { gone: [0] }, 'wait paused'],
    ['a task stopped: another one is asked for before anything else', {}, { gone: [1] }, 'request-members'],
    ['and launched', coming({ state: 'requested' }), { gone: [1] }, 'launch-members'],
    ['it is being launched, the dead one not noted yet', coming(), { gone: [1] }, 'note-sick'],
    ['a launch has failed: whoever is dead does not wait for it', failing, { gone: [1] }, 'note-sick'],
    [
      'the task of the leader stopped, and none is elected yet',
      {},
      { gone: [0], ...mute },
      'request-members',
    ],
    ['a task stopped', coming({}, voter(1, sickFor(1))), { gone: [1] }, 'remove-member mbbbbbbbb'],
    [
      'unreachable for a moment',
      { members: members(voter(0), voter(1, sickFor(5)), voter(2)) },
      { cut: [1] },
      'wait wait-for-member',
    ],
    [
      'unreachable for long',
      { members: members(voter(0), voter(1, sickFor(25)), voter(2)) },
      { cut: [1] },
      'remove-member mbbbbbbbb',
    ],
    ['one is missing', { members: members(voter(0), voter(1)) }, { gone: [2] }, 'wait wait-for-clear-view'],
    ['quorum is lost', {}, { gone: [0, 1] }, 'note-quorum'],
    [
      'the loss lasts no longer: members answer again that were taken for lost',
      { remediation: lost() },
      mute,
      'note-quorum',
    ],
    [
      'and a recovery had been decided: it is off, whoever agreed to it',
      { remediation: { ...lost(), kind: 'recover', approved: true, recovery } },
      mute,
      'begin-remediation',
    ],
    [
      'a survivor is saved',
      { remediation: { ...lost(), kind: 'recover', recovery: { ...recovery, source: savedAt(5000) } } },
      { ...mute, gone: [0, 1] },
      'stop-tasks',
    ],
    [
      'and another one answers that has more: it is decided again (S6)',
      { remediation: { ...lost(), kind: 'recover', recovery: { ...recovery, source: savedAt(4999) } } },
      { ...mute, gone: [0, 1] },
      'begin-remediation',
    ],
    ['nearly full', {}, { self: full }, 'compact'],
    ['nearly full, compacts itself', spec({ autoCompaction: off }), { self: full }, 'defragment mbbbbbbbb'],
    ['NOSPACE, compacts itself', spec({ autoCompaction: off }), { self: full, status: nospace }, 'compact'],
    [
      'compacted, followers defragmented',
      withSpace(['mbbbbbbbb', 'mcccccccc']),
      { self: full },
      'move-leadership mbbbbbbbb',
    ],
    ['all done, still full', withSpace(names), { self: { ...full, dbSizeInUse: 1940 * MiB } }, 'raise-quota'],
    [
      'no larger quota fits',
      { ...withSpace(names), ...spec({ storageGiB: 5 }) },
      { self: { ...full, dbSizeInUse: 1940 * MiB } },
      'end-remediation',
    ],
    ['room again under NOSPACE', withSpace(names), { status: nospace }, 'disarm'],
    [
      'asked to replace the leader',
      { replaceRequests: { maaaaaaaa: 'slow' } },
      {},
      'move-leadership mbbbbbbbb',
    ],
    [
      'asked to replace the leader and a follower: leadership goes to the third',
      { replaceRequests: { maaaaaaaa: 'slow', mbbbbbbbb: 'asked' } },
      {},
      'move-leadership mcccccccc',
    ],
    [
      'asked to replace all: nobody keeps leadership for longer, so it stays until its holder goes',
      { replaceRequests: { maaaaaaaa: 'slow', mbbbbbbbb: 'asked', mcccccccc: 'asked' } },
      {},
      'request-members',
    ],
    ['asked to replace a follower', { replaceRequests: { mbbbbbbbb: 'slow' } }, {}, 'request-members'],
  ])('%s', (_name, over, scene, expected) => {
    expect(say(planRemediate(tenant(over), look(scene), now, { zones, taskDefinitions }))).toBe(expected);
  });
});

function withSpace(defragmented: string[]): Partial<TenantRecord> {
  const { remediation } = tenant();
  return { remediation: { ...remediation!, space: { kept: 1000, defragmented } } };
}
