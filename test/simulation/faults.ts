import { quorumOf } from '../../lambdas/core/members.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { ControlPlane } from './control-plane.ts';
import { type Fargate, isRunning, type Task } from './fargate.ts';
import type { Cut, Network } from './network.ts';
import type { Node } from './nodes.ts';
import type { Fault, Timed } from './script.ts';
import type { TenantLife } from './tenant-life.ts';
import type { Weather } from './weather.ts';

export interface FaultWorld {
  readonly clock: VirtualClock;
  readonly fargate: Fargate;
  readonly lives: readonly TenantLife[];
  readonly control: ControlPlane;
  readonly network: Network;
  readonly weather: Weather;
}

/** etcd compares hashes after each compaction: a corrupt member is noticed after a while. */
const corruptCheckMs = 30_000;

/** Lets a fault begin now, and ends it in its time. */
export function inflict(world: FaultWorld, fault: Timed<Fault>): void {
  const { clock, weather } = world;
  const undo = begin(world, fault);
  clock.at(fault.forS * 1_000, () => {
    weather.end(fault);
    undo?.();
  });
}

function begin(world: FaultWorld, fault: Timed<Fault>): (() => void) | undefined {
  const { clock, fargate, lives, weather, control } = world;
  const { tenantId, nodes } = lives[(fault.tenant ?? 0) % lives.length]!;
  const running = fargate.alive(tenantId).filter(isRunning);
  const members = running.flatMap((task) => nodes.byName.get(task.memberName) ?? []);
  const chosen = (victim: number): Node | undefined => members[victim % Math.max(1, members.length)];
  switch (fault.kind) {
    case 'task-dies': {
      const node = chosen(fault.victim);
      if (node) fargate.end(node.task, 'Host EC2 instance terminated', 'fault');
      return undefined;
    }
    case 'all-die':
      for (const { task } of members) fargate.end(task, 'Power is out', 'fault');
      return undefined;
    case 'etcd-dies': {
      const node = chosen(fault.victim);
      if (node) nodes.crash(node);
      return undefined;
    }
    case 'disk-dies': {
      const node = chosen(fault.victim);
      if (node) nodes.loseDisk(node);
      return undefined;
    }
    case 'zone-dies':
      weather.begin(fault);
      for (const task of fargate.alive()) {
        if (task.zone === fault.zone && isRunning(task)) fargate.end(task, 'zone lost', 'fault');
      }
      return undefined;
    case 'zone-cut':
      weather.begin(fault);
      return cut(world, { what: { zone: fault.zone }, from: 'all', way: 'both' });
    case 'cut': {
      const node = chosen(fault.victim);
      return node && cut(world, { what: { ip: node.task.ip }, from: fault.from, way: fault.way });
    }
    case 'nospace': {
      const raft = nodes.rafts.at(-1);
      if (raft === undefined) return undefined;
      const quota = Math.min(...members.map((node) => node.boot?.quotaBytes ?? Number.POSITIVE_INFINITY));
      if (!Number.isFinite(quota)) return undefined;
      raft.garbage = fault.garbage;
      raft.inUse = Math.round(quota * 0.9);
      for (const disk of raft.disks.values()) disk.dbSize = quota;
      raft.nospace = true;
      raft.settle();
      return undefined;
    }
    case 'fragmentation': {
      for (const disk of nodes.rafts.at(-1)?.disks.values() ?? []) disk.dbSize = 300 * 2 ** 20;
      return undefined;
    }
    case 'slow-disk': {
      const node = chosen(fault.victim);
      if (node === undefined) return undefined;
      node.slowDisk = true;
      return () => {
        node.slowDisk = false;
      };
    }
    case 'retirement': {
      const task = chosen(fault.victim)?.task;
      if (task === undefined) return undefined;
      const date = new Date(clock.now().getTime() + fault.forS * 1_000).toISOString();
      control.retire(task, date);
      return () => fargate.end(task, 'Fargate retires the host', 'fault');
    }
    case 'corruption':
      corrupt(world, chosen(fault.victim));
      return undefined;
    case 'lies': {
      const node = chosen(fault.victim);
      if (node === undefined) return undefined;
      node.lies = fault.lie;
      node.raft?.settle();
      return () => {
        delete node.lies;
        node.raft?.settle();
      };
    }
    default:
      weather.begin(fault);
      return undefined;
  }
}

/** One member at a time, and only where a majority can tell who is to blame. */
function corrupt({ clock }: FaultWorld, node: Node | undefined): void {
  const { raft, disk } = node ?? {};
  if (!raft || !disk || disk.isLearner) return;
  const voters = [...raft.newest().values()].filter((each) => !each.isLearner);
  const disks = voters.flatMap(({ etcdId }) => raft.disks.get(etcdId) ?? []);
  if (disks.some(({ corrupt }) => corrupt)) return;
  if (disks.filter(({ gone }) => !gone).length - 1 < quorumOf(voters.length)) return;
  disk.corrupt = true;
  const check = (): void => {
    if (disk.gone || !raft.newest().has(disk.etcdId)) return;
    clock.at(corruptCheckMs, check);
    if (raft.corruptAlarm || !raft.linearizable(disk)) return;
    raft.corruptAlarm = true;
    raft.settle();
  };
  clock.at(corruptCheckMs / 10, check);
}

function cut({ network, lives, fargate }: FaultWorld, it: Cut): () => void {
  const { what } = it;
  const hit = (task: Task): boolean => ('ip' in what ? task.ip === what.ip : task.zone === what.zone);
  const changed = (): void => {
    const reached = [...fargate.tasks.values()].filter(hit);
    for (const { nodes, tenantId } of lives) {
      const theirs = reached.filter((task) => task.tenantId === tenantId);
      if (theirs.length > 0) nodes.reconnected(theirs);
    }
  };
  network.cuts.add(it);
  changed();
  return () => {
    network.cuts.delete(it);
    changed();
  };
}
