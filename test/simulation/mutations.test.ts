import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Fault, Script, Timed } from './script.ts';

/** Three members, everything quick, and these faults. */
function script(
  tenants: number,
  faults: readonly (Fault & { atS: number; forS?: number; tenant?: number })[],
): Script {
  return {
    seed: 4,
    tenants,
    spec: {
      members: 3,
      version: '3.6.16',
      recovery: 'auto',
      quorumLossConfirmSeconds: 10,
      unreachableSeconds: 20,
      zoneOutageHoldMinutes: 0,
      storageGiB: 40,
    },
    tasks: { startMs: 400, stopMs: 5_000 },
    quietS: 240,
    wishes: [],
    faults: faults.map((fault, id): Timed<Fault> => ({ id, forS: 1, ...fault })),
  };
}

const dies = (atS: number, victim = 0, tenant = 0) => ({ kind: 'task-dies', atS, victim, tenant }) as const;
const one = script(1, [dies(100)]);
const majority = script(1, [dies(100), dies(100, 1)]);
const approved = { ...majority, spec: { ...majority.spec, recovery: 'approve' as const } };
/** A member each is cut off, and given up long after all of them were noted. */
const cut = (tenant: number) =>
  ({ kind: 'cut', atS: 100, forS: 120, tenant, victim: 0, from: 'all', way: 'both' }) as const;
const plainStorm = script(4, [0, 1, 2, 3].map(cut));
const storm = { ...plainStorm, spec: { ...plainStorm.spec, unreachableSeconds: 60 } };
/** Of five, one is cut off and falls behind, then a majority dies. */
const behind = script(1, [
  { kind: 'cut', atS: 126, forS: 60, victim: 4, from: 'peers', way: 'both' },
  dies(130),
  dies(130, 1),
  dies(130, 2),
]);
const survivors = { ...behind, spec: { ...behind.spec, members: 5 as const } };

/** The same at several moments: which one is the moment that counts hangs on how quick the product is. */
const sometime = (moments: readonly number[], of: (atS: number) => Script): Script[] => moments.map(of);
/** Restored to before nearly all that was written, and everything gone before the first backup of that. */
const restored = sometime([137, 139, 141, 143, 145, 147, 149], (atS) => ({
  ...script(1, [{ kind: 'all-die', atS }]),
  wishes: [{ id: 0, atS: 120, forS: 1, kind: 'restore', back: 1 }],
}));
/** All gone at once, the disks kept. */
const kept = sometime([125, 128, 130, 133], (atS) => {
  const plain = script(1, [{ kind: 'all-die', atS }]);
  return { ...plain, spec: { ...plain.spec, volume: 'ebs' as const } };
});

const core = '../../lambdas/core';
type Module = Record<string, (...args: never[]) => unknown>;

const mutated = new Set<string>();

/** Changes what a module of the product exports; all that import it get the changed one. */
function mutate(path: string, change: (original: Module) => Module): void {
  mutated.add(path);
  vi.doMock(path, async (original) => {
    const module = (await original()) as Module;
    return { ...module, ...change(module) };
  });
}

async function problemsOf(history: Script): Promise<readonly string[]> {
  const { runHistory } = await import('./history.ts');
  return (await runHistory(history)).problems;
}

const rulesOff = (): void => mutate(`${core}/safety.ts`, () => ({ checkStep: () => ({ allowed: true }) }));

/** Each takes one thing out of the product that a rule rests on. */
const mutations: readonly [
  story: string,
  mutation: () => void,
  histories: Script | Script[],
  found: RegExp,
][] = [
  ['nobody asks the safety rules', rulesOff, one, /S3: .* is told new after the latch/],
  [
    'every newcomer goes to the first zone, and nobody asks the safety rules about it',
    () => {
      mutate(`${core}/safety.ts`, ({ checkStep }) => ({
        checkStep: ((context: { step: { kind: string } }) =>
          context.step.kind === 'request-members'
            ? { allowed: true }
            : checkStep!(context as never)) as never,
      }));
      mutate(`${core}/spread.ts`, () => ({
        chooseZones: ((zones: string[], _placed: string[], count: number) =>
          Array.from({ length: count }, () => zones[0])) as never,
      }));
    },
    script(1, []),
    /S4: 3 of 3 voters are in one zone/,
  ],
  [
    'a recovery does not wait until the old tasks are STOPPED',
    () => {
      rulesOff();
      mutate(`${core}/remediation/recovery.ts`, ({ planRecovery }) => ({
        planRecovery: ((tenant: never, ...rest: never[]) => {
          const { remediation, incarnation } = tenant as {
            remediation: { recovery?: { source?: object } };
            incarnation: { number: number };
          };
          const source = remediation.recovery?.source;
          return source === undefined
            ? planRecovery!(tenant, ...rest)
            : { kind: 'step', step: { kind: 'new-incarnation', incarnation: incarnation.number, source } };
        }) as never,
      }));
    },
    survivors,
    /S5: incarnation 2 begins while/,
  ],
  [
    'a recovery does not wait for the person who has to agree',
    () => {
      rulesOff();
      mutate(`${core}/remediation/recovery.ts`, ({ planRecovery }) => ({
        planRecovery: ((tenant: { spec: object }, ...rest: never[]) =>
          planRecovery!(
            { ...tenant, spec: { ...tenant.spec, recovery: 'auto' } } as never,
            ...rest,
          )) as never,
      }));
    },
    approved,
    /S5: incarnation 2 begins, and nobody was asked/,
  ],
  [
    'the worst survivor is taken for the best',
    () =>
      mutate(`${core}/remediation/survivor.ts`, ({ survivorsOf }) => ({
        survivorsOf: ((...args: never[]) => (survivorsOf!(...args) as unknown[]).toReversed()) as never,
        isBetterSource: () => false,
      })),
    survivors,
    /S6: .* is saved and .* has more/,
  ],
  [
    'nobody counts how many tenants are sick',
    () => mutate(`${core}/storm.ts`, () => ({ checkFleet: async () => ({ allowed: true }) })),
    storm,
    /S8: a voter is removed in a storm/,
  ],
  [
    'nobody writes down what a restored incarnation began from',
    () => mutate(`${core}/backup/beginning.ts`, () => ({ noteBeginning: async () => undefined })),
    restored,
    /writes that a restore had taken back are there again/,
  ],
  [
    'nobody looks at the disks that are kept',
    () => {
      rulesOff();
      mutate(`${core}/remediation/kept-disks.ts`, () => ({
        leftDisks: () => ({ kind: 'known', disks: [], without: [] }),
      }));
    },
    kept,
    /acknowledged writes are lost/,
  ],
  [
    'nobody removes the disks that former members have left',
    () => mutate('../../lambdas/sweep/disks.ts', () => ({ removeLeftDisks: async () => undefined })),
    kept,
    /nobody removes the disks vol-/,
  ],
];

afterEach(() => {
  for (const path of mutated) vi.doUnmock(path);
  mutated.clear();
  vi.resetModules();
});

describe('the judge', () => {
  test.each(mutations)('finds out that %s', async (_story, mutation, histories, found) => {
    const problems = async (): Promise<string[]> => {
      const all: string[] = [];
      for (const history of [histories].flat()) all.push(...(await problemsOf(history)));
      return all;
    };
    expect(await problems()).toEqual([]);
    vi.resetModules();
    mutation();
    expect((await problems()).join('\n')).toMatch(found);
  });
});
