import type { Backup, DeltaRef } from '../model/backup.ts';
import type { Catalogue } from '../step.ts';
import { beginningOf } from './beginning.ts';
import { closedAtMs } from './chain.ts';

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;
const weekMs = 7 * dayMs;

/** How often one stays, and for how long, beyond what every second can be restored of. */
const thinning = [
  { everyMs: hourMs, forMs: dayMs },
  { everyMs: dayMs, forMs: weekMs },
  { everyMs: weekMs, forMs: 5 * weekMs },
];

export interface Kept {
  readonly backups: readonly Backup[];
  readonly deltas: readonly DeltaRef[];
}

export interface Retention {
  readonly keep: Kept;
  readonly drop: Kept;
}

/**
 * What stays of everything that is backed up: all of the last `pointInTimeHours` with the full backup that its first second
 * needs, then one an hour, a day, a week; for ever the newest and the newest proven one, and what is damaged for as long
 * as the weeks last, for a person to look at. A full backup that stays for its hour or day alone stays without segments;
 * segments stay from the oldest full backup of the window on, so no chain is cut in its middle. Other incarnations age
 * out by the same rules.
 */
export function retain({ backups, deltas }: Catalogue, pointInTimeHours: number, now: Date): Retention {
  const windowFrom = now.getTime() - pointInTimeHours * hourMs;
  const kept = new Set<string>();
  const usable = backups.filter((backup) => backup.damaged === undefined).sort(byContent);
  const keep = (backup: Backup | undefined): void => void (backup && kept.add(backup.backupId));

  keep(usable.at(-1));
  keep(usable.filter(({ proof }) => proof !== undefined).at(-1));
  keep(beginningNeeded(usable, backups));
  for (const backup of backups) {
    const isYoung = timeOf(backup) > now.getTime() - 5 * weekMs;
    if (timeOf(backup) >= windowFrom || (backup.damaged !== undefined && isYoung)) keep(backup);
  }
  /** By incarnation: where its segments begin to be needed. */
  const segmentsFrom = new Map<number, number>();
  const incarnations = new Set(backups.map((backup) => backup.incarnation));
  for (const incarnation of incarnations) {
    const own = usable.filter((backup) => backup.incarnation === incarnation);
    const first = own.filter((backup) => timeOf(backup) <= windowFrom).at(-1) ?? own[0];
    // Segments of after the window's beginning are what makes the one before it needed.
    const reaches = (deltas[incarnation] ?? []).some((delta) => closedAtMs(delta) >= windowFrom);
    const isInWindow = first !== undefined && timeOf(first) >= windowFrom;
    const isNewest = own.some((backup) => backup === usable.at(-1));
    if (first === undefined || !(reaches || isInWindow || isNewest)) continue;
    keep(first);
    segmentsFrom.set(incarnation, first.revision);
  }
  for (const { everyMs, forMs } of thinning) {
    const slots = new Map<number, Backup>();
    // The first of each hour, day, week: a choice that later ones do not change.
    for (const backup of usable.filter((each) => timeOf(each) >= now.getTime() - forMs)) {
      const slot = Math.floor(timeOf(backup) / everyMs);
      if (!slots.has(slot)) slots.set(slot, backup);
    }
    for (const backup of slots.values()) keep(backup);
  }
  const isKept = ({ backupId }: Backup): boolean => kept.has(backupId);
  const all = Object.entries(deltas).flatMap(([incarnation, found]) =>
    found.map((delta) => {
      const from = segmentsFrom.get(Number(incarnation));
      // The manifest before it was written after manifests were read: nothing is known to be over.
      const isNew = !incarnations.has(Number(incarnation)) && closedAtMs(delta) > now.getTime() - dayMs;
      return { delta, isKept: isNew || (from !== undefined && delta.last > from) };
    }),
  );
  return {
    keep: {
      backups: backups.filter(isKept),
      deltas: all.flatMap((each) => (each.isKept ? [each.delta] : [])),
    },
    drop: {
      backups: backups.filter((backup) => !isKept(backup)),
      deltas: all.flatMap((each) => (each.isKept ? [] : [each.delta])),
    },
  };
}

/** It tells, and is, what the present incarnation was made of: until one of its own is known to be good. */
function beginningNeeded(usable: readonly Backup[], all: readonly Backup[]): Backup | undefined {
  const present = Math.max(0, ...all.map(({ incarnation }) => incarnation));
  const isProven = usable.some(
    ({ incarnation, proof, madeOf }) =>
      incarnation === present && proof !== undefined && madeOf === undefined,
  );
  return isProven ? undefined : beginningOf(all, present);
}

/** Keys that go with these: an object that another manifest still names stays (a tenant woken up began from its last backup). */
export function keysOf(dropped: readonly Backup[], all: readonly Backup[]): string[] {
  const gone = new Set(dropped.map(({ backupId }) => backupId));
  const needed = new Set(all.filter(({ backupId }) => !gone.has(backupId)).map(({ key }) => key));
  return [...new Set(dropped.map(({ key }) => key))].filter((key) => !needed.has(key));
}

const timeOf = ({ contentAt }: Backup): number => Date.parse(contentAt);
const byContent = (a: Backup, b: Backup): number => timeOf(a) - timeOf(b) || a.revision - b.revision;
