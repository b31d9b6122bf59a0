import { drawScript, type Fault, type Script, type Timed } from './script.ts';

export interface Regression {
  /** What is at stake. */
  readonly story: string;
  readonly script: Script;
}

/** A seed's history with only some of its faults and wishes: what shrinking leaves. */
export function only(seed: number, faults: readonly number[], wishes: readonly number[] = []): Script {
  const script = drawScript(seed);
  return {
    ...script,
    faults: script.faults.filter(({ id }) => faults.includes(id)),
    wishes: script.wishes.filter(({ id }) => wishes.includes(id)),
  };
}

const plain = (members: 3 | 5, ...faults: readonly [atS: number, forS: number, fault: Fault][]): Script => ({
  seed: 4,
  spec: {
    members,
    version: '3.6.16',
    recovery: 'auto',
    quorumLossConfirmSeconds: 10,
    unreachableSeconds: 20,
    zoneOutageHoldMinutes: 0,
    storageGiB: 40,
  },
  tasks: { startMs: 400, stopMs: 800 },
  quietS: 240,
  wishes: [],
  faults: faults.map(([atS, forS, fault], id): Timed<Fault> => ({ id, atS, forS, ...fault })),
});

/** Histories that failed once, or that show whether the judge would notice. */
export const regressions: readonly Regression[] = [
  {
    story: 'a majority that dies at once leaves a new incarnation from the one that is left',
    script: plain(3, [100, 1, { kind: 'task-dies', victim: 0 }], [100, 1, { kind: 'task-dies', victim: 1 }]),
  },
  {
    // With the order of survivors turned round the judge says S6: the one that had been cut off is behind.
    story: 'of two survivors the one with the longer log is saved',
    script: plain(
      5,
      [126, 60, { kind: 'cut', victim: 4, from: 'peers', way: 'both' }],
      [130, 1, { kind: 'task-dies', victim: 0 }],
      [130, 1, { kind: 'task-dies', victim: 1 }],
      [130, 1, { kind: 'task-dies', victim: 2 }],
    ),
  },
  {
    story:
      'somebody deleted a tenant in the midst of a zone outage: its data went on purpose, and nothing is left over',
    script: only(117, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
  {
    story: 'a zone died while five members were being resized: many leave at once, and all goes on',
    script: only(26, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
  {
    story:
      'NOSPACE on two voters on their way from 3 to 1: none of two may be away, so the scaling goes on first',
    script: only(237, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
  {
    story:
      'a voter dies while a surge newcomer is on its way in another zone: doubled up for a moment, even in the end',
    script: only(341, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
  {
    story:
      'a quota that was raised is not raised again before every member has it, and doubled-up zones are mended first',
    script: only(914, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
  {
    story: 'etcd that is started again under a CORRUPT alarm never gets ready, but it serves: it counts',
    script: only(959, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1]),
  },
];
