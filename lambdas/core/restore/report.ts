import type { Restore, RestoreReport } from '../model/restore.ts';
import { revisionsBeyond } from './source.ts';

const between = (from: string, to: string): number => Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);

/** What a restore or clone came to. @param inPlace the old cluster is gone, so that something may be lost */
export function reportOf(restore: Restore, now: Date, inPlace: boolean): RestoreReport | undefined {
  const { pin, prepared, target, requestedAt, knownRevision } = restore;
  if (prepared === undefined) return undefined;
  const { source, keys, leases, replayed, lastSeenAt } = prepared;
  const ended = now.toISOString();
  const fencedAt = restore.fencedAt ?? prepared.at;
  const begunAt = restore.begunAt ?? fencedAt;
  return {
    from: pin.from,
    backupId: pin.backupId,
    target,
    revision: source.revision,
    revisionNow: source.revision + source.bumpRevision,
    keys,
    leases,
    replayed,
    bytes: source.bytes,
    lastSeenAt: lastSeenAt ?? null,
    seconds: {
      prepare: between(requestedAt, prepared.at),
      fence: between(fencedAt, begunAt),
      boot: between(begunAt, ended),
      total: between(requestedAt, ended),
    },
    lost: inPlace
      ? {
          revisions: revisionsBeyond(source.revision, knownRevision),
          since: lastSeenAt ?? pin.contentAt,
        }
      : null,
  };
}

export function tellReport({ revision, keys, seconds, lost, from, backupId }: RestoreReport): string {
  const parts = `${seconds.total.toFixed(1)} s (preparing ${seconds.prepare.toFixed(1)}, stopping ${seconds.fence.toFixed(1)}, starting ${seconds.boot.toFixed(1)})`;
  const gone =
    lost === null
      ? ''
      : lost.revisions === 0
        ? ` No revision is known to be missing; anything written after ${lost.since} is.`
        : ` ${lost.revisions} revisions after ${lost.since} are gone.`;
  return `Restored revision ${revision} with ${keys} keys from backup ${backupId} of ${from} in ${parts}.${gone}`;
}
