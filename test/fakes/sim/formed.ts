import type { Made, Member } from '../../../lambdas/core/model/member.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { nothingSeen, type Observation } from '../../../lambdas/core/step.ts';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { defaultSpec, newTenant } from './tenants.ts';

/** One voter of a formed cluster, as a test's table speaks of it. */
export interface Voter {
  /** a, b or c. */
  readonly zone: string;
  /** `unsure`: only our own call fails. `dead`: its task has stopped. @default well */
  readonly is?: 'well' | 'dead' | 'unsure' | 'starting';
  readonly state?: 'voting' | 'learner' | 'joined' | 'launching' | 'requested' | 'leaving';
  readonly made?: Partial<Made>;
  readonly index?: number;
  readonly named?: boolean;
  /** Etcd's own list does not have it. @default listed when it is a voter or learner */
  readonly unlisted?: boolean;
}

export const now = new Date('2026-01-01T12:00:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
export const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
export const taskDefinitions = { ebs: 'node-ebs:1', ephemeral: 'node-ephemeral:1' };
export const nameOf = (index: number): string => `m${'abcdefgh'[index]!.repeat(8)}`;
const idOf = (index: number): string => `a${index}`;

/** A tenant and what is seen of it. The first voter leads unless `leader` says otherwise; undefined: nobody. */
export function formed(
  voters: readonly Voter[],
  options: {
    readonly spec?: Partial<TenantRecord['spec']>;
    readonly tenant?: Partial<TenantRecord>;
    readonly leader?: number | undefined;
    readonly downgradeTo?: string;
    readonly storageVersion?: string;
    readonly joinedSecondsAgo?: number;
  } = {},
): { tenant: TenantRecord; observation: Observation } {
  const spec = { ...defaultSpec, ...options.spec };
  const leader = 'leader' in options ? options.leader : 0;
  const fresh = newTenant('acme', now, { ulid: () => 'op', clusterToken: () => 't' }, spec).record;
  const { operation: _operation, ...settled } = fresh;
  const states = voters.map((voter) => voter.state ?? 'voting');
  const listed = voters.flatMap((voter, index) =>
    ['voting', 'learner'].includes(states[index]!) && !voter.unlisted ? [index] : [],
  );
  const members = voters.map((voter, index): Member => {
    const state = states[index]!;
    const taskArn = `task/${index}`;
    const made: Made = {
      version: spec.version,
      size: spec.size,
      storageGiB: spec.storageGiB,
      volume: spec.volume,
      quotaMiB: spec.quotaMiB,
      taskDefinition: taskDefinitions[spec.volume],
      ...voter.made,
    };
    const born = { name: nameOf(index), zone: `us-east-1${voter.zone}`, requestedAt: ago(7_200), made };
    const joinedAt = ago(options.joinedSecondsAgo ?? 3_600);
    const known = { ...born, taskArn, launchedAt: ago(3_700), ip: `10.0.0.${index + 1}`, joinedAt };
    switch (state) {
      case 'requested':
        return { state, ...born };
      case 'launching':
        return { state, ...born, taskArn, launchedAt: ago(60) };
      case 'joined':
        return { state, ...known };
      case 'leaving':
        return { state, ...born, taskArn, ip: known.ip, leavingSince: ago(5), reason: 'r' };
      default:
        return { state, ...known, etcdId: idOf(index) };
    }
  });
  const view = {
    clusterId: 'c1',
    linearizable: true,
    members: listed.map((index) => ({
      etcdId: idOf(index),
      name: nameOf(index),
      peerUrls: [`https://10.0.0.${index + 1}:2380`],
      clientUrls: [],
      isLearner: states[index] === 'learner',
      reachable: voters[index]!.is !== 'dead',
    })),
  };
  const status = (voter: Voter, index: number): NannyStatus => {
    const inCluster = listed.includes(index) && voter.is !== 'starting';
    const isLearner = states[index] === 'learner';
    return {
      at: now.toISOString(),
      tenantId: 'acme',
      memberName: nameOf(index),
      incarnation: 1,
      etcd: { state: inCluster && !isLearner ? 'ready' : 'starting', restarts: 0 },
      alarms: [],
      ...(inCluster && {
        self: {
          etcdId: idOf(index),
          clusterId: 'c1',
          version: voter.made?.version ?? spec.version,
          revision: 1,
          raftTerm: 2,
          raftIndex: voter.index ?? 50_000,
          raftAppliedIndex: voter.index ?? 50_000,
          leader: leader === undefined ? '0' : idOf(leader),
          isLearner,
          dbSize: 1,
          dbSizeInUse: 1,
          ...(options.storageVersion !== undefined && { storageVersion: options.storageVersion }),
          errors: [],
        },
        ...(!isLearner && { view }),
      }),
      ...(options.downgradeTo !== undefined && {
        downgrade: { enabled: true, targetVersion: options.downgradeTo },
      }),
    };
  };
  const launched = members.flatMap((member, index) => ('taskArn' in member ? [index] : []));
  return {
    tenant: {
      ...settled,
      status: { phase: 'available', conditions: [], since: ago(60) },
      incarnation: {
        state: 'formed',
        number: 1,
        token: 't',
        clusterId: 'c1',
        initialCluster: {},
        formedAt: ago(60),
      },
      nameServiceId: 's',
      observedGeneration: 1,
      members: Object.fromEntries(members.map((member) => [member.name, member])),
      ...options.tenant,
    },
    observation: {
      ...nothingSeen,
      tasks: Object.fromEntries(
        launched.map((index) => {
          const lastStatus = voters[index]!.is === 'dead' ? 'STOPPED' : 'RUNNING';
          return [`task/${index}`, { taskArn: `task/${index}`, lastStatus, desiredStatus: lastStatus }];
        }),
      ),
      nannies: Object.fromEntries(
        voters.flatMap((voter, index) =>
          ['requested', 'launching', 'leaving'].includes(states[index]!)
            ? []
            : [
                [
                  nameOf(index),
                  voter.is === 'dead' || voter.is === 'unsure'
                    ? { reachable: false as const, problem: 'no answer' }
                    : { reachable: true as const, status: status(voter, index) },
                ],
              ],
        ),
      ),
      names: voters.flatMap((voter, index) =>
        (voter.named ?? states[index] === 'voting') ? [nameOf(index)] : [],
      ),
    },
  };
}
