import { isOwned } from './left-disks.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Disk } from './ports.ts';
import { quorumView } from './primitives/quorum-view.ts';
import { bestDisk, diskIsBest, isLookedAt, leftDisks, tellFindings } from './remediation/kept-disks.ts';
import type { Rule, SafetyContext } from './safety.ts';

/** S6: the disks that lost members have left are looked at, every one, before anything is taken; the furthest wins. */
export const disksFirst: Rule = (context) => {
  const { step, tenant, observation, now } = context;
  const { recovery } = tenant.remediation ?? {};
  switch (step.kind) {
    case 'choose-disk': {
      const unseen = recovery && unlooked(recovery);
      if (recovery === undefined || unseen !== undefined) return unseen ?? 'no recovery was decided';
      const best = diskIsBest(recovery);
      return best === step.member
        ? undefined
        : `${step.member} is not the furthest (${tellFindings(recovery)}; backup: ${recovery.pin?.expectedRevision ?? 'none'})`;
    }
    case 'order-work':
      // Whose source is a backup: what the worker of a disk finds is what is being looked for.
      return step.order.source.kind === 'full' && step.operationId === tenant.remediation?.operationId
        ? recovery && unlooked(recovery)
        : undefined;
    case 'begin-remediation': {
      const wanted = step.recovery;
      if (wanted?.pin === undefined || wanted.disks !== undefined) return undefined;
      if (recovery?.disks !== undefined && recovery.incarnation === tenant.incarnation.number) {
        const further = bestDisk(recovery.disks)?.found.revision ?? -1;
        const worse = `a disk reaches revision ${further}, the backup ${wanted.pin.expectedRevision}`;
        return unlooked(recovery) ?? (further >= wanted.pin.expectedRevision ? worse : undefined);
      }
      if (observation.disks === undefined) return 'nobody has looked for the disks of the lost members';
      const left = leftDisks(tenant, observation, now);
      if (left.kind === 'coming') return left.reason;
      return left.disks.length > 0
        ? `the disks of ${left.disks.map(({ member }) => member).join(', ')} are there and were not looked at`
        : undefined;
    }
    default:
      return undefined;
  }
};

function unlooked(recovery: Parameters<typeof isLookedAt>[0]): string | undefined {
  if (isLookedAt(recovery)) return undefined;
  const names = recovery.disks?.filter(({ found }) => found === undefined).map(({ member }) => member);
  return `the disk of ${names?.join(', ')} has not been looked at`;
}

/** S6: a disk that may yet be a source stays: of a member, or while the cluster is not well without it. */
export const disksStay: Rule = (context) => {
  const { step, tenant, observation } = context;
  if (step.kind !== 'remove-disks') return undefined;
  const { disks } = observation;
  if (disks === undefined) return 'nobody has looked for the disks of the tenant: none is removed';
  for (const volumeId of step.volumeIds) {
    const disk = disks.find((each) => each.volumeId === volumeId);
    if (disk === undefined) return `${volumeId} is not a disk of ${tenant.tenantId}`;
    if (disk.state === 'attached') return `${volumeId} is in use`;
    if (tenant.status.phase !== 'deleting' && isOwned(tenant, disk)) {
      return `${volumeId} is the disk of ${disk.memberName}`;
    }
  }
  return stillNeeded(context);
};

/** Everything that the former disks held is held by others now. */
function stillNeeded({ tenant, observation, now }: SafetyContext): string | undefined {
  const { status, spec, paused } = tenant;
  if (paused !== undefined && status.phase !== 'deleting') return 'automation is paused';
  switch (status.phase) {
    // Asleep: all is in a snapshot. Failed: it has never held anything.
    case 'hibernated':
    case 'failed':
      return undefined;
    case 'deleting': {
      const alive = Object.values(observation.tasks).filter((task) => task.lastStatus !== 'STOPPED');
      return alive.length > 0 ? `${alive.length} tasks of the tenant are not confirmed STOPPED` : undefined;
    }
    case 'available': {
      if (tenant.remediation !== undefined) return 'the cluster is being repaired';
      const { healthy, ambiguous } = quorumView(tenant, observation, now);
      if (ambiguous !== undefined) return ambiguous;
      return healthy.length < spec.members
        ? `${healthy.length} of ${spec.members} members are healthy: former disks stay until all are`
        : undefined;
    }
    default:
      return `the cluster is ${status.phase}: former disks stay until it is well`;
  }
}

/** A deletion under way may still be taking its disks off; and a launch that nobody lived to write down may be under way. */
const nobodysMs = 60 * 60_000;

/**
 * S6 for a disk of a tenant that has no record: whether it may be removed.
 * @returns why not
 */
export function nobodysStays(disk: Disk, owner: TenantRecord | undefined, now: Date): string | undefined {
  if (owner !== undefined) return `${disk.volumeId} is a disk of ${owner.tenantId}, which exists`;
  if (disk.state === 'attached') return `${disk.volumeId} is in use`;
  return now.getTime() - Date.parse(disk.createdAt) < nobodysMs
    ? `${disk.volumeId} is not an hour old: its owner may be on the way`
    : undefined;
}
