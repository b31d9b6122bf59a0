import type { Sizing } from './model/sizing.ts';
import { type SizeClass, sizeClasses, sizesInOrder, type TenantSpec } from './model/spec.ts';
import { windowOpens } from './window.ts';

/** What one hour was at its worst, as a share of the size class that the members had. Left out: nobody told. */
export interface HourlyLoad {
  /** Beginning of the hour. */
  readonly at: Date;
  readonly cpuPercent?: number;
  readonly memoryPercent?: number;
  readonly dbSizeBytes?: number;
}

/** Hours in a row above `growAbove` before a larger class is advised: an hour may be a defragmentation or a restore. */
export const growHours = 3;
export const growAbove = 75;
/** What the class that is grown to may at most be used. */
const growTo = 60;
/** Hours that all have to fit into the smaller class, with at most `shrinkBelow` of it used; a few may be unknown. */
export const shrinkHours = 24;
const shrinkKnown = 20;
/** Far below `growAbove`: a load that shrank a cluster has to more than half again before it can make it grow. */
export const shrinkBelow = 45;
/** After a change of size: the figures of before are of another class, and caches have to fill. */
export const coolDownHours = 6;

/** etcd maps its whole database, and wants room for what goes on beside it: Go's heap, the nanny, a snapshot under way. */
const memoryForDatabaseMiB = (dbSizeBytes: number): number => (1.25 * dbSizeBytes) / 1024 ** 2 + 300;

const rank = (size: SizeClass): number => sizesInOrder.indexOf(size);
const hourMs = 3_600_000;

export interface SizeAdvice {
  /** Absent: too little is known. */
  readonly recommended?: SizeClass;
  /** For people: why this one, or what is not known. */
  readonly reason: string;
}

/**
 * The size class that a tenant's load asks for. Growing takes hours, shrinking a day, and each leaves a wide gap to the
 * other, so that a load that goes up and down changes nothing. Never below what the database needs.
 * @param since since when members have had this size: figures of before are of another class
 */
export function adviseSize(
  size: SizeClass,
  hours: readonly HourlyLoad[],
  now: Date,
  since: Date | undefined,
): SizeAdvice {
  const valid = hours
    .filter(({ at }) => at.getTime() >= (since?.getTime() ?? 0) && at <= now)
    .sort((a, b) => b.at.getTime() - a.at.getTime());
  const recent = valid.filter(({ at }) => now.getTime() - at.getTime() <= (growHours + 1) * hourMs);
  const database = recent.find(({ dbSizeBytes }) => dbSizeBytes !== undefined)?.dbSizeBytes;
  const known = recent.filter(isKnown);
  if (known.length === 0 || database === undefined) {
    return {
      reason: `CloudWatch has no figures of the last ${growHours} hours: nothing is advised and nothing done`,
    };
  }
  const floor =
    sizesInOrder.find((each) => sizeClasses[each].memory >= memoryForDatabaseMiB(database)) ?? 'xlarge';
  if (rank(floor) > rank(size)) {
    const mib = Math.round(database / 1024 ** 2);
    return {
      recommended: floor,
      reason: `a database of ${mib} MiB needs ${sizeClasses[floor].memory} MiB of memory`,
    };
  }
  // The hour that has begun may be one bad minute old.
  const busy = known.filter(({ at }) => at.getTime() + hourMs <= now.getTime()).slice(0, growHours);
  if (busy.length === growHours && busy.every((hour) => worst(hour, size, size) > growAbove)) {
    const fits = (each: SizeClass): boolean => busy.every((hour) => worst(hour, size, each) <= growTo);
    const larger = sizesInOrder.slice(rank(size) + 1);
    const wanted = larger.find(fits) ?? larger.at(-1);
    if (wanted !== undefined) {
      return {
        recommended: wanted,
        reason: `above ${growAbove} % for ${growHours} hours (${shares(busy[0]!)})`,
      };
    }
    return {
      recommended: size,
      reason: `above ${growAbove} % for ${growHours} hours, and there is no larger class`,
    };
  }
  const smaller = sizesInOrder[rank(size) - 1];
  const day = valid.filter(
    (hour) => isKnown(hour) && now.getTime() - hour.at.getTime() <= shrinkHours * hourMs,
  );
  if (
    smaller !== undefined &&
    rank(smaller) >= rank(floor) &&
    day.length >= shrinkKnown &&
    day.every((hour) => worst(hour, size, smaller) <= shrinkBelow)
  ) {
    return {
      recommended: smaller,
      reason: `all of a day would have used at most ${shrinkBelow} % of ${smaller}`,
    };
  }
  return { recommended: size, reason: `fits (${shares(known[0]!)})` };
}

const isKnown = ({ cpuPercent, memoryPercent }: HourlyLoad): boolean =>
  cpuPercent !== undefined && memoryPercent !== undefined;

/** The load that was seen in one class, as a share of another one. */
function worst({ cpuPercent = 0, memoryPercent = 0 }: HourlyLoad, seenIn: SizeClass, of: SizeClass): number {
  const [from, to] = [sizeClasses[seenIn], sizeClasses[of]];
  return Math.max((cpuPercent * from.cpu) / to.cpu, (memoryPercent * from.memory) / to.memory);
}

const shares = ({ cpuPercent = 0, memoryPercent = 0 }: HourlyLoad): string =>
  `CPU ${Math.round(cpuPercent)} %, memory ${Math.round(memoryPercent)} %`;

export type Action = { readonly to: SizeClass } | { readonly not: string };

/** Whether the advice is followed now. `not`: why it is not, for people. */
export function actOn(
  { recommended }: SizeAdvice,
  {
    spec,
    sizing,
    isIdle,
  }: {
    readonly spec: Pick<TenantSpec, 'size' | 'autoscale' | 'maintenanceWindow'>;
    readonly sizing: Sizing | undefined;
    /** Nothing is under way, and all members are well. */
    readonly isIdle: boolean;
  },
  now: Date,
): Action {
  const { size, autoscale, maintenanceWindow } = spec;
  if (recommended === undefined) return { not: 'too little is known' };
  if (autoscale === undefined) return { not: 'autoscale is off' };
  const bounded =
    sizesInOrder[Math.min(rank(autoscale.max), Math.max(rank(autoscale.min), rank(recommended)))]!;
  if (bounded === size) {
    return {
      not:
        recommended === size
          ? 'the size fits'
          : `${autoscale.min}..${autoscale.max} does not let it go to ${recommended}`,
    };
  }
  // Members of a class that is too small would be worse than a bound that is not kept.
  if (rank(bounded) < rank(size) && rank(bounded) < rank(recommended)) {
    return { not: `${autoscale.max} is the most it may be, and ${recommended} the least that fits` };
  }
  const changed = Date.parse(sizing?.changedAt ?? '');
  if (now.getTime() - changed < coolDownHours * hourMs)
    return { not: `it changed less than ${coolDownHours} hours ago` };
  if (!isIdle) return { not: 'the tenant is busy or not well' };
  const opens = windowOpens(maintenanceWindow, now);
  if (opens !== undefined) return { not: `its maintenance window opens at ${opens.toISOString()}` };
  return { to: bounded };
}
