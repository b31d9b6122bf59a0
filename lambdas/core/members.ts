import type { Member, MemberIn } from './model/member.ts';
import type { TenantRecord } from './model/tenant.ts';

export const ports = { admin: 2378, client: 2379, peer: 2380, metrics: 2381 } as const;

export const peerUrl = (ip: string): string => `https://${ip}:${ports.peer}`;
export const clientUrl = (ip: string): string => `https://${ip}:${ports.client}`;

/** Votes needed for a decision among `voters`. */
export const quorumOf = (voters: number): number => Math.floor(voters / 2) + 1;

/** The id ECS gives a task: last part of its ARN. It is also the session name of the task role's credentials. */
export const taskIdOf = (taskArn: string): string => taskArn.slice(taskArn.lastIndexOf('/') + 1);

/** Records are never changed in place, and one look asks for their members dozens of times. */
const inOrder = new WeakMap<TenantRecord['members'], readonly Member[]>();

/** In the order of their names. */
export function membersOf({ members }: TenantRecord): readonly Member[] {
  let sorted = inOrder.get(members);
  if (sorted === undefined) {
    sorted = Object.values(members).sort((a, b) => (a.name < b.name ? -1 : 1));
    inOrder.set(members, sorted);
  }
  return sorted;
}

/** All that are not on their way out. */
export const wantedMembers = (tenant: TenantRecord) =>
  membersOf(tenant).filter((member) => member.state !== 'leaving');

export const membersIn = <S extends Member['state']>(tenant: TenantRecord, ...states: S[]): MemberIn<S>[] =>
  membersOf(tenant).filter((member): member is MemberIn<S> => (states as string[]).includes(member.state));

/** ARNs of the tasks that the record knows of: members' and the worker's. */
export const taskArnsOf = (tenant: TenantRecord): string[] =>
  [...membersOf(tenant), ...(tenant.work ? [tenant.work] : [])].flatMap((owner) =>
    'taskArn' in owner && owner.taskArn !== undefined ? [owner.taskArn] : [],
  );

/** The record with some members replaced. */
export const withMembers = (tenant: TenantRecord, members: readonly Member[]): TenantRecord => ({
  ...tenant,
  members: { ...tenant.members, ...Object.fromEntries(members.map((member) => [member.name, member])) },
});

/**
 * `--initial-cluster` of a member that joins a formed cluster: everybody etcd lists now, itself included; etcd refuses
 * to start when the number differs from its own list.
 */
export const etcdCluster = (tenant: TenantRecord): Record<string, string> =>
  Object.fromEntries(
    membersOf(tenant).flatMap((member) =>
      'etcdId' in member && member.etcdId !== undefined && member.ip !== undefined
        ? [[member.name, peerUrl(member.ip)] as const]
        : [],
    ),
  );

/** Longer than etcd keeps a proposal that it cannot decide (ReqTimeout: 5 s and two elections). */
const lateAddMs = 10_000;

/** On its way out: keeps what is needed to stop its task. */
export function leaving(member: Member, reason: string, at: string): MemberIn<'leaving'> {
  if (member.state === 'leaving') return member;
  return {
    state: 'leaving',
    name: member.name,
    zone: member.zone,
    requestedAt: member.requestedAt,
    ...(member.made && { made: member.made }),
    ...('taskArn' in member && { taskArn: member.taskArn }),
    ...('ip' in member && { ip: member.ip }),
    ...('etcdId' in member && { etcdId: member.etcdId }),
    ...(member.state === 'joined' && {
      maybeAddedUntil: new Date(Date.parse(at) + lateAddMs).toISOString(),
    }),
    leavingSince: at,
    reason,
  };
}
