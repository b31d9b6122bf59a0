import { type Right, rightName } from '../../../local/iam/usage.ts';

/** Rights that no end-to-end topic uses, and why they stay. A field that is left out is any. */
export interface UnusedRights {
  readonly roles?: readonly string[];
  readonly sid: string;
  readonly actions?: readonly string[];
  /** Part of the resource as the template writes it. */
  readonly resource?: string;
  readonly reason: string;
}

/** A right → some of the topics that use it. */
export type UsedRights = Readonly<Record<string, readonly string[]>>;

export interface Comparison {
  /** Used, but the templates do not give them (any more). */
  readonly missing: readonly string[];
  /** Given, never used, and nobody says why. */
  readonly unexplained: readonly string[];
  /** Explanations of nothing, or of rights that are used. */
  readonly stale: readonly string[];
}

export function compareRights(
  given: readonly Right[],
  used: UsedRights,
  explained: readonly UnusedRights[],
): Comparison {
  const names = new Set(given.map(rightName));
  const unused = given.filter((right) => !(rightName(right) in used));
  const stale = explained.flatMap((entry) => {
    const about = given.filter((right) => covers(entry, right));
    const inUse = about.filter((right) => rightName(right) in used).map(rightName);
    if (about.length === 0) return [`${label(entry)}: the templates give no such right`];
    // It may cover rights that are used beside others that are not.
    return inUse.length === about.length
      ? [`${label(entry)}: all of it is used, by ${used[inUse[0]!]?.join(', ')}`]
      : [];
  });
  return {
    missing: Object.keys(used).filter((name) => !names.has(name)),
    unexplained: unused.filter((right) => !explained.some((entry) => covers(entry, right))).map(rightName),
    stale,
  };
}

const covers = (entry: UnusedRights, right: Right): boolean =>
  entry.sid === right.sid &&
  (entry.roles?.includes(right.role) ?? true) &&
  (entry.actions?.includes(right.action) ?? true) &&
  (entry.resource === undefined || right.resource.includes(entry.resource));

const label = ({ sid, roles = ['any role'], actions = [] }: UnusedRights): string =>
  [sid, ...actions, `of ${roles.join(', ')}`].join(' ');

/** Topics that were run again replace what they said before; the others stay. */
export function mergeUsed(
  before: UsedRights,
  topics: ReadonlyMap<string, readonly Right[]>,
  keep = 3,
): UsedRights {
  const seen = new Map<string, Set<string>>();
  const add = (name: string, topic: string): void =>
    void seen.set(name, (seen.get(name) ?? new Set()).add(topic));
  for (const [name, old] of Object.entries(before))
    for (const topic of old) if (!topics.has(topic)) add(name, topic);
  for (const [topic, rights] of topics) for (const right of rights) add(rightName(right), topic);
  return Object.fromEntries(
    [...seen]
      .map(([name, by]) => [name, [...by].sort().slice(0, keep)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
