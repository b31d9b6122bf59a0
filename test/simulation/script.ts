import type { TenantSpec } from '../../lambdas/core/model/spec.ts';
import { randomOf } from './random.ts';

/** Somebody changes the spec. */
export type Wish =
  | { readonly kind: 'scale'; readonly members: 1 | 3 | 5 }
  | { readonly kind: 'resize'; readonly size: TenantSpec['size'] }
  | { readonly kind: 'patch'; readonly version: string }
  | { readonly kind: 'replace'; readonly victim: number }
  /** Automation is off for a while. */
  | { readonly kind: 'pause' }
  /** In place: to the newest state, or so much of what there is back from it (0 to 1). */
  | { readonly kind: 'restore'; readonly back: number }
  | { readonly kind: 'delete' };

/** `victim`: which of the tasks that run then, counted round. */
export type Fault =
  | { readonly kind: 'messages'; readonly lost: number; readonly doubled: number; readonly lateMs: number }
  | { readonly kind: 'crashes'; readonly share: number }
  | { readonly kind: 'throttling'; readonly share: number }
  | { readonly kind: 'slow-calls'; readonly share: number; readonly ms: number }
  | { readonly kind: 'stale-tasks'; readonly ms: number }
  | { readonly kind: 'no-capacity'; readonly zone?: string }
  | { readonly kind: 'stillborn-tasks'; readonly share: number }
  | { readonly kind: 'slow-learners'; readonly factor: number }
  | { readonly kind: 'clock'; readonly jumpMs: number }
  | { readonly kind: 'task-dies'; readonly victim: number }
  | { readonly kind: 'etcd-dies'; readonly victim: number }
  | { readonly kind: 'disk-dies'; readonly victim: number }
  /** Every task of the tenant at once. */
  | { readonly kind: 'all-die' }
  /** Volumes go with the tasks that end meanwhile, so many of them. */
  | { readonly kind: 'disks-lost'; readonly share: number }
  /** Copies of disks take up to so long, and the call fails so often. */
  | { readonly kind: 'copies'; readonly failed: number; readonly ms: number }
  | { readonly kind: 'zone-dies'; readonly zone: string }
  | { readonly kind: 'zone-cut'; readonly zone: string }
  | {
      readonly kind: 'cut';
      readonly victim: number;
      readonly from: 'peers' | 'control-plane' | 'all';
      readonly way: 'in' | 'out' | 'both';
    }
  | { readonly kind: 'nospace'; readonly garbage: boolean }
  | { readonly kind: 'fragmentation' }
  | { readonly kind: 'corruption'; readonly victim: number }
  | { readonly kind: 'slow-disk'; readonly victim: number }
  /** AWS says that it ends a task, and does so at the end of the fault. */
  | { readonly kind: 'retirement'; readonly victim: number }
  | { readonly kind: 'lies'; readonly victim: number; readonly lie: 'peers-gone' | 'not-ready' };

/** `id` keeps a fault's own randomness the same when others are left out. */
export type Timed<T> = T & {
  readonly id: number;
  readonly atS: number;
  readonly forS: number;
  /** Whose, where it is not everybody's; by default the first one's. */
  readonly tenant?: number;
};

/** One history before it has happened. Plain data: printed, shrunk, and run again. */
export interface Script {
  readonly seed: number;
  /** Of one cell. @default 1 */
  readonly tenants?: number;
  readonly spec: Partial<TenantSpec>;
  readonly tasks: { readonly startMs: number; readonly stopMs: number };
  readonly wishes: readonly Timed<Wish>[];
  readonly faults: readonly Timed<Fault>[];
  /** Faults and wishes have ended by then. */
  readonly quietS: number;
}

export const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'] as const;

export function drawScript(seed: number): Script {
  const random = randomOf(seed, 'script');
  const tenants = random.chance(0.04) ? random.int(4, 6) : 1;
  const quietS = random.pick([240, 480, 900]);
  const many = random.pick([0, 1, 2, 3, 4, 5, 7, 10]);
  const members = random.pick([1, 3, 3, 3, 3, 5] as const);
  const version = random.pick(['3.6.16', '3.6.16', '3.6.16', '3.6.14', '3.5.33', '3.5.30', '3.7.1']);
  // Troubles seldom come alone: in every other history they come close together.
  const [centre, near] = [random.int(40, quietS - 90), random.chance(0.5)];
  const begin = (): number => {
    if (near) return centre + random.int(0, 30);
    return random.chance(0.2) ? random.int(0, 40) : random.int(40, quietS - 60);
  };
  const whose = () => (tenants > 1 ? { tenant: random.int(0, tenants - 1) } : {});
  const faults = Array.from({ length: many }, (_, id): Timed<Fault> => {
    const atS = begin();
    const longest = Math.max(5, Math.min(300, quietS - atS));
    return { id, atS, forS: random.int(3, longest), ...whose(), ...drawFault(random) };
  });
  const wishes = Array.from({ length: random.pick([0, 0, 1, 1, 2]) * tenants }, (_, id): Timed<Wish> => {
    const atS = random.int(30, quietS - 30);
    return { id, atS, forS: random.int(10, quietS - atS), ...whose(), ...drawWish(random, version) };
  });
  const storm = tenants > 1 && random.chance(0.6) ? drawStorm(random, tenants, centre, many) : [];
  return {
    seed,
    tenants,
    spec: {
      members,
      version,
      recovery: random.chance(0.8) ? 'auto' : 'approve',
      zoneOutageHoldMinutes: random.pick([0, 2, 5, 30]),
      quorumLossConfirmSeconds: random.pick([10, 60]),
      unreachableSeconds: random.pick([5, 20]),
      volume: random.pick(['ephemeral', 'ebs'] as const),
      storageGiB: 40,
    },
    tasks: { startMs: random.pick([400, 3_000, 30_000]), stopMs: random.pick([800, 5_000, 20_000]) },
    wishes: wishes.sort((a, b) => a.atS - b.atS),
    faults: [...faults, ...storm].sort((a, b) => a.atS - b.atS),
    quietS,
  };
}

/** Many tenants turn sick at once: members really die, or a detector lies about members that are well. */
function drawStorm(random: Draw, tenants: number, atS: number, firstId: number): Timed<Fault>[] {
  const lying = random.chance(0.5);
  const forS = random.int(60, 150);
  return Array.from({ length: random.int(3, tenants) }, (_, tenant): Timed<Fault>[] => {
    const [id, victim] = [firstId + 2 * tenant, random.int(0, 2)];
    if (!lying) return [{ id, atS, forS, tenant, kind: 'task-dies', victim }];
    return [
      { id, atS, forS, tenant, kind: 'cut', victim, from: 'control-plane', way: 'both' },
      { id: id + 1, atS, forS, tenant, kind: 'lies', victim: victim + 1, lie: 'peers-gone' },
    ];
  }).flat();
}

type Draw = ReturnType<typeof randomOf>;

/** The next minor down, for half of those who ask for another version: the way down is the harder one. */
const below: Readonly<Record<string, string>> = { '3.7': '3.6.16', '3.6': '3.5.33' };

function drawWish(random: Draw, version: string): Wish {
  const down = below[version.slice(0, 3)];
  return random.pick<() => Wish>([
    () => ({ kind: 'scale', members: random.pick([1, 3, 5] as const) }),
    () => ({ kind: 'resize', size: random.pick(['micro', 'medium', 'large'] as const) }),
    () => ({
      kind: 'patch',
      version:
        down !== undefined && random.chance(0.5)
          ? down
          : random.pick(['3.7.3', '3.6.16', '3.6.14', '3.5.35', '3.5.33']),
    }),
    () => ({ kind: 'replace', victim: random.int(0, 9) }),
    () => (random.chance(0.4) ? { kind: 'pause' } : { kind: 'resize', size: 'xlarge' }),
    () => ({ kind: 'restore', back: random.chance(0.3) ? 0 : random.next() }),
    () => (random.chance(0.3) ? { kind: 'delete' } : { kind: 'replace', victim: random.int(0, 9) }),
  ])();
}

function drawFault(random: Draw): Fault {
  const victim = random.int(0, 9);
  const zone = random.pick(zones);
  const some = (most: number): number => Math.round(random.next() * most * 100) / 100;
  return random.pick<() => Fault>([
    () => ({ kind: 'messages', lost: some(0.6), doubled: some(0.6), lateMs: random.int(0, 30_000) }),
    () => ({ kind: 'crashes', share: some(0.15) }),
    () => ({ kind: 'throttling', share: some(0.3) }),
    () => ({ kind: 'slow-calls', share: some(0.6), ms: random.int(50, 4_000) }),
    () => ({ kind: 'stale-tasks', ms: random.int(500, 15_000) }),
    () => ({ kind: 'no-capacity', ...(random.chance(0.6) && { zone }) }),
    () => ({ kind: 'stillborn-tasks', share: 0.3 + some(0.7) }),
    () => ({ kind: 'slow-learners', factor: random.int(5, 600) }),
    () => ({ kind: 'clock', jumpMs: random.int(-120, 120) * 1_000 }),
    () => ({ kind: 'task-dies', victim }),
    () => ({ kind: 'task-dies', victim }),
    () => ({ kind: 'all-die' }),
    () => (random.chance(0.5) ? { kind: 'all-die' } : { kind: 'disks-lost', share: some(1) }),
    () => ({ kind: 'copies', failed: some(0.8), ms: random.int(1_000, 300_000) }),
    () => ({ kind: 'etcd-dies', victim }),
    () => ({ kind: 'disk-dies', victim }),
    () => ({ kind: 'zone-dies', zone }),
    () => ({ kind: 'zone-cut', zone }),
    () => ({
      kind: 'cut',
      victim,
      from: random.pick(['peers', 'control-plane', 'all'] as const),
      way: random.pick(['in', 'out', 'both', 'both'] as const),
    }),
    () => ({ kind: 'nospace', garbage: random.chance(0.6) }),
    () => (random.chance(0.5) ? { kind: 'fragmentation' } : { kind: 'slow-disk', victim }),
    () => ({ kind: 'retirement', victim }),
    () => ({ kind: 'corruption', victim }),
    () => ({ kind: 'lies', victim, lie: random.pick(['peers-gone', 'not-ready'] as const) }),
  ])();
}

/** For people: one line a wish and a fault. */
export function tellScript(script: Script): string {
  const { seed, tenants = 1, spec, tasks, wishes, faults, quietS } = script;
  const line = ({ atS, forS, kind, id: _id, ...rest }: Timed<Wish | Fault>): string => {
    const more = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : '';
    return `  ${String(atS).padStart(4)} s ${kind}${forS > 0 ? ` for ${forS} s` : ''}${more}`;
  };
  const lines = [...wishes, ...faults].sort((a, b) => a.atS - b.atS).map(line);
  return [
    `seed ${seed}${tenants > 1 ? `, ${tenants} tenants` : ''}, spec ${JSON.stringify(spec)}, tasks ${JSON.stringify(tasks)}`,
    ...lines,
    `  ${quietS} s quiet`,
  ].join('\n');
}
