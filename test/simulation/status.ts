import type { MemberSeen, NannyStatus } from '../../lambdas/core/wire/admin.ts';
import type { Node } from './nodes.ts';
import type { Disk, Raft } from './raft.ts';

export interface StatusWorld {
  readonly ofDisk: (disk: Disk) => Node | undefined;
  readonly reaches: (other: Node) => boolean;
  readonly storageVersion: (raft: Raft) => string;
}

/** An entry of our log stands for so many of theirs: being one behind is a lot. */
const entries = 1_000;

/** What a member's nanny says of it. */
export function statusOf(node: Node, now: Date, world: StatusWorld): NannyStatus {
  const { task, boot, raft, disk } = node;
  const answers = raft && disk?.up && disk.opened;
  const state = node.lies === 'not-ready' && node.state === 'ready' ? 'not-ready' : node.state;
  return {
    at: now.toISOString(),
    tenantId: task.tenantId,
    memberName: task.memberName,
    incarnation: boot?.incarnation ?? 0,
    etcd: {
      state,
      restarts: node.restarts,
      ...(node.exit !== undefined && {
        lastExit: { at: node.exit.at, code: 1, signal: null, reason: node.exit.reason },
      }),
    },
    alarms: [],
    ...(node.certificates && { certificates: node.certificates.status }),
    ...(answers && about(node, raft, disk, world)),
    ...shippingOf(node, now),
  };
}

function shippingOf({ shipping, raft, disk }: Node, now: Date): Pick<NannyStatus, 'backup'> {
  if (!shipping?.order.ship) return {};
  if (raft && disk?.up && disk.opened) {
    shipping.revision = Math.max(shipping.revision, raft.baseRevision + disk.writes);
    shipping.at = now.toISOString();
  }
  const { chain } = shipping.order;
  return {
    backup: { chain, shippedRevision: shipping.revision, upToDateAt: shipping.at, pending: 0 },
  };
}

function about(node: Node, raft: Raft, disk: Disk, world: StatusWorld) {
  const linearizable = raft.linearizable(disk);
  const alarms: NannyStatus['alarms'] = [
    ...(raft.nospace ? [{ etcdId: disk.etcdId, alarm: 'NOSPACE' as const }] : []),
    ...(raft.corruptAlarm ? [{ etcdId: '0', alarm: 'CORRUPT' as const }] : []),
  ];
  return {
    alarms,
    self: {
      etcdId: disk.etcdId,
      clusterId: raft.clusterId,
      version: node.boot!.version,
      revision: raft.baseRevision + disk.writes,
      raftTerm: disk.term,
      raftIndex: disk.log.length * entries,
      raftAppliedIndex: disk.commit * entries,
      leader: linearizable ? raft.leader!.etcdId : '0',
      isLearner: disk.isLearner,
      dbSize: disk.dbSize,
      dbSizeInUse: raft.inUse,
      storageVersion: world.storageVersion(raft),
      errors: [],
    },
    latency: { fsyncP99Ms: node.slowDisk ? 400 : 4, applyLag: 0 },
    downgrade: { enabled: raft.downgradeTo !== undefined, targetVersion: raft.downgradeTo ?? '' },
    view: {
      clusterId: raft.clusterId,
      linearizable: linearizable && !disk.isLearner,
      members: [...(linearizable ? raft.leader! : disk).config.values()].map((entry): MemberSeen => {
        const other = raft.disks.get(entry.etcdId);
        const its = other && world.ofDisk(other);
        const reachable =
          other !== undefined &&
          its !== undefined &&
          (other === disk || (other.up && other.opened && world.reaches(its) && node.lies !== 'peers-gone'));
        return {
          etcdId: entry.etcdId,
          name: its === undefined ? '' : its.task.memberName,
          peerUrls: [entry.peerUrl],
          clientUrls: its === undefined ? [] : [`https://${its.task.ip}:2379`],
          isLearner: entry.isLearner,
          reachable,
        };
      }),
    },
  };
}
