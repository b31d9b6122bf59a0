import { membersIn } from './members.ts';
import type { Member } from './model/member.ts';
import type { TenantRecord } from './model/tenant.ts';
import { compareVersions } from './version-order.ts';

/** What is known of versions, handed in by the functions: core knows no list of its own. */
export interface VersionGate {
  /** Lowest version that every member needs before a minor step up. */
  readonly upgrades: readonly {
    readonly from: string;
    readonly to: string;
    readonly floor: string;
    readonly reason: string;
  }[];
  /** Why no tenant may run this version; undefined: it may. */
  readonly refusal: (version: string) => string | undefined;
}

export type VersionChange =
  | { readonly kind: 'same' | 'patch' | 'minor-up' | 'minor-down' }
  | { readonly kind: 'refused'; readonly reason: string };

export const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** `3.6.16` → `3.6.0`: how etcd's downgrade names its target. */
export const minorZero = (version: string): string => `${minorOf(version)}.0`;

const numbers = (version: string): [number, number] => {
  const [major, minor] = version.split('.').map(Number);
  return [major ?? 0, minor ?? 0];
};

/**
 * May members that run `running` be brought to `wanted`? One minor at a time, never skipping: etcd itself does not
 * prevent it, a 3.7 learner joined a 3.5 cluster and then panicked (etcd-facts, section 6).
 */
export function versionChange(running: readonly string[], wanted: string, gate: VersionGate): VersionChange {
  const others = [...new Set(running)].filter((version) => version !== wanted).sort(compareVersions);
  const lowest = others[0];
  const highest = others.at(-1);
  if (lowest === undefined || highest === undefined) return { kind: 'same' };
  const refusal = gate.refusal(wanted);
  if (refusal !== undefined) return refused(`etcd ${wanted} is refused: ${refusal}`);
  const [major, minor] = numbers(wanted);
  for (const version of [lowest, highest]) {
    const [fromMajor, fromMinor] = numbers(version);
    if (fromMajor !== major || Math.abs(fromMinor - minor) > 1) {
      return refused(
        `etcd ${version} → ${wanted} is more than one minor step: go through the minor in between, one operation each`,
      );
    }
  }
  if (numbers(highest)[1] > minor) {
    return numbers(lowest)[1] < minor
      ? refused(`members run both ${lowest} and ${highest}: bring them to one minor first`)
      : { kind: 'minor-down' };
  }
  if (numbers(lowest)[1] === minor) return { kind: 'patch' };
  const rule = gate.upgrades.find(({ from, to }) => from === minorOf(lowest) && to === minorOf(wanted));
  if (rule === undefined)
    return refused(`no rule says how to go from ${minorOf(lowest)} to ${minorOf(wanted)}`);
  return compareVersions(lowest, rule.floor) < 0
    ? refused(
        `${lowest} has to be at least ${rule.floor} before ${minorOf(wanted)}: ${rule.reason}. Patch it first.`,
      )
    : { kind: 'minor-up' };
}

const refused = (reason: string): VersionChange => ({ kind: 'refused', reason });

/** What a member runs: what it was made to run, else what it said it runs. */
export const versionOf = (member: Member): string | undefined =>
  member.made?.version ?? ('seen' in member ? member.seen?.version : undefined);

/**
 * A newcomer runs what the spec says, but while a minor step is wanted that no voter has taken yet, what the voters
 * run: whether that step may be taken at all is patch's to decide, not of whoever replaces a dead member.
 *
 * @param insteadOf a voter that is lost and not out yet: the newcomer does not meet it. If it alone had stepped down,
 *   etcd's own version may rise again before the newcomer is in, and an older one is refused then
 */
export function versionForNewcomer(tenant: TenantRecord, insteadOf?: string): string {
  const { version } = tenant.spec;
  const others = membersIn(tenant, 'voting').filter(({ name }) => name !== insteadOf);
  const running = others.flatMap((member) => versionOf(member) ?? []);
  if (running.length === 0 || running.some((each) => minorOf(each) === minorOf(version))) return version;
  return running.sort(compareVersions).at(-1)!;
}
