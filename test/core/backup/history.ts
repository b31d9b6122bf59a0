import fc from 'fast-check';
import { type Backup, type DeltaRef, deltaName, readDeltaName } from '../../../lambdas/core/model/backup.ts';
import type { Catalogue } from '../../../lambdas/core/step.ts';

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const ulidAt = (ms: number, n: number): string => {
  let time = '';
  for (let rest = ms; time.length < 10; rest = Math.floor(rest / 32)) time = crockford[rest % 32] + time;
  return time + String(n).padStart(16, '0');
};

export const startMs = Date.parse('2026-01-01T00:00:00Z');
const minuteMs = 60_000;

/** What happened in one minute of a tenant's life. */
interface Minute {
  readonly changes: number;
  readonly full: boolean;
  readonly damaged: boolean;
  readonly proven: boolean;
  /** Its segment is not there. */
  readonly lost: boolean;
  readonly restored: boolean;
}

const minute = fc.record<Minute>({
  changes: fc.nat(5),
  full: fc.boolean(),
  damaged: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  proven: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  lost: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
  restored: fc.integer({ min: 0, max: 30 }).map((n) => n === 0),
});

export interface History {
  readonly catalogue: Catalogue;
  /** Incarnation and revision at the end of each minute. */
  readonly truth: readonly {
    readonly endMs: number;
    readonly incarnation: number;
    readonly revision: number;
  }[];
  readonly endMs: number;
}

/** Minutes of `every` minutes each: segments at their ends, a full backup in their middle, now and then a new incarnation. */
export const histories = (maxLength: number, every = 1): fc.Arbitrary<History> =>
  fc.array(minute, { minLength: 1, maxLength }).map((minutes) => {
    const backups: Backup[] = [];
    const deltas: Record<number, DeltaRef[]> = {};
    let [incarnation, revision] = [1, 10];
    const truth = minutes.map((each, index) => {
      const beginMs = startMs + index * every * minuteMs;
      const endMs = beginMs + every * minuteMs;
      if (each.restored) {
        incarnation += 1;
        revision += 1_000_000;
      }
      if (each.full || each.restored || index === 0) {
        backups.unshift(fullAt(beginMs, index, incarnation, revision, each));
      }
      const first = revision + 1;
      revision += each.changes;
      if (each.changes > 0 && !each.lost) {
        const name = deltaName(first, revision, ulidAt(endMs, index));
        const delta = readDeltaName(`c/acme/${incarnation}/delta/${name}`, 100)!;
        deltas[incarnation] = [...(deltas[incarnation] ?? []), delta];
      }
      return { endMs, incarnation, revision };
    });
    const objects = backups.map(({ key, bytes }) => ({ key, bytes }));
    return { catalogue: { backups, deltas, objects }, truth, endMs: truth.at(-1)!.endMs };
  });

function fullAt(ms: number, n: number, incarnation: number, revision: number, minute: Minute): Backup {
  const at = new Date(ms).toISOString();
  const backupId = ulidAt(ms, n);
  return {
    backupId,
    tenantId: 'acme',
    incarnation,
    key: `c/acme/${incarnation}/full/${backupId}.snap`,
    sha256: 'f'.repeat(64),
    bytes: 1_000,
    revision,
    etcdVersion: '3.6.16',
    member: 'maaaaaaaa',
    reason: 'scheduled',
    startedAt: at,
    contentAt: at,
    endedAt: at,
    ...(minute.proven && { proof: { at, revision, keys: 1, hash: 1, seconds: 1 } }),
    ...(minute.damaged && { damaged: { at, problem: 'its hash differs' } }),
  };
}
