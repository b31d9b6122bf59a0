import { dutyOf } from '../../lambdas/core/duty.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import type { Fargate } from './fargate.ts';
import type { Judge } from './judge.ts';
import type { Nodes } from './nodes.ts';
import { zones } from './script.ts';
import type { SimVolumes } from './volumes.ts';

export interface EndWorld {
  readonly tenantId: string;
  readonly record: TenantRecord | undefined;
  readonly fargate: Fargate;
  readonly nodes: Nodes;
  readonly names: InMemoryNameRegistry;
  readonly judge: Judge;
  readonly volumes: SimVolumes;
}

/** How the tenant differs from its spec, and from peace. Empty: converged. */
export function problemsAtEnd(world: EndWorld): string[] {
  const { tenantId, record, fargate, nodes, names, judge, volumes } = world;
  const problems: string[] = [];
  const must = (holds: boolean, otherwise: string): void => void (holds || problems.push(otherwise));
  const left = volumes.left(tenantId).filter((id) => !record || !(id.slice(4) in record.members));
  if (record === undefined) {
    must(left.length === 0, `deleted, but its disks are there: ${left}`);
    const tasks = fargate.alive(tenantId);
    must(tasks.length === 0, `deleted, but ${tasks.length} tasks run`);
    must(names.serviceOf(tenantId) === undefined, 'deleted, but its name is there');
    return problems;
  }
  if (isBeyondRepair(record, nodes, judge)) return problems;
  const { spec, status, operation, remediation, incarnation } = record;
  const members = Object.values(record.members);
  must(left.length === 0, `nobody removes the disks ${left}`);
  must(status.phase === 'available', `phase is ${status.phase}`);
  must(record.paused === undefined, 'it is paused');
  must(operation === undefined, `the operation ${operation?.kind} is not closed`);
  must(remediation === undefined, `remediation goes on: ${remediation?.reason}`);
  must(dutyOf(record) === 'sweep', `it is the duty of ${dutyOf(record)}`);
  must(members.length === spec.members, `${members.length} members, not ${spec.members}`);
  must(
    members.every(({ state }) => state === 'voting'),
    `members are ${members.map(({ state }) => state)}`,
  );
  const sick = members
    .filter(({ name }) => nodes.byName.get(name)?.state !== 'ready')
    .map(({ name }) => name);
  must(sick.length === 0, `etcd is not ready on ${sick}`);
  const raft = nodes.rafts.at(-1);
  const listed = raft?.leader?.config.size;
  must(listed === spec.members, `etcd lists ${listed} members`);
  must(incarnation.state === 'formed', `the incarnation is ${incarnation.state}`);
  must(raft?.incarnation === incarnation.number, 'another incarnation runs');
  must(!raft?.nospace && !raft?.corruptAlarm, 'an alarm is on');
  must(judge.leaks().length === 0, `nobody owns the tasks of ${judge.leaks()}`);
  const stale = members.filter(
    ({ made }) => made && (made.size !== spec.size || made.version !== spec.version),
  );
  must(stale.length === 0, `${stale.length} members are not as the spec says`);
  const instances = [...(names.serviceOf(tenantId)?.instances.keys() ?? [])].sort().join();
  must(instances === Object.keys(record.members).sort().join(), `names registered are ${instances}`);
  const counts = zones.map((zone) => members.filter((member) => member.zone === zone).length);
  must(Math.max(...counts) - Math.min(...counts) <= 1, `members are spread ${counts}`);
  return problems;
}

/** All its data was lost by faults: only a person with a backup can help, and the record says so. */
function isBeyondRepair(record: TenantRecord, nodes: Nodes, judge: Judge): boolean {
  if (record.remediation === undefined || !judge.excused.has(record.incarnation.number)) return false;
  const raft = nodes.rafts.findLast((each) => each.incarnation === record.incarnation.number);
  const voters = [...(raft?.newest().values() ?? [])].filter((each) => !each.isLearner);
  return voters.every(({ etcdId }) => {
    const disk = raft?.disks.get(etcdId);
    return disk === undefined || (disk.gone !== undefined && !disk.kept) || !disk.opened;
  });
}
