import { type WorkOrder, type WorkProgress, workPhases } from '../../lambdas/core/wire/work.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { Bucket, Snapshot } from './bucket.ts';
import { isRunning, type Task } from './fargate.ts';
import type { Random } from './random.ts';

export interface WorkerWorld {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly bucket: Bucket;
  /** Its own volume began as a copy of a kept disk: what is on that. */
  readonly onDisk: () => Snapshot | undefined;
  /** POST work; undefined: no answer. */
  readonly post: (progress: WorkProgress) => Promise<{ readonly leave: boolean } | undefined>;
}

/** A task beside the cluster: does what it was told and tells of it, until it may leave or its task ends. */
export async function runWorker(task: Task, order: WorkOrder, world: WorkerWorld): Promise<void> {
  const { clock, random, post } = world;
  for (const phase of workPhases) {
    if ((await post({ state: 'running', phase }))?.leave) return;
    await clock.sleep(random.int(100, 4_000));
    if (!isRunning(task)) return;
  }
  const last = resultOf(order, world);
  while (isRunning(task) && !(await post(last))?.leave) await clock.sleep(1_000);
}

function resultOf(order: WorkOrder, { bucket, clock, onDisk }: WorkerWorld): WorkProgress {
  const { source, deltas, until, output: wanted, compactRevision = 0 } = order;
  const begin = source.kind === 'full' ? bucket.full(source.key, source.bumpRevision) : onDisk();
  if (begin === undefined) {
    if (source.kind === 'disk') return failed('unusable', 'the write-ahead log is torn');
    return { ...failed('damaged', `${source.key} is not there`), key: source.key };
  }
  const state = deltas ? bucket.replay(begin, deltas.prefix, until?.revision) : begin;
  if (state === undefined) return failed('gap', `no segment holds what comes after ${begin.revision}`);
  const { revision, content } = state;
  const output = wanted && revision > (wanted.above ?? -1) ? wanted : undefined;
  if (output) bucket.put(output.key, state, clock.now().getTime());
  const made = output && { output: { key: output.key, sha256: output.key, bytes: 1 } };
  const replayed = revision - begin.revision;
  const keys = content.length;
  const result = { revision, keys, hash: 1, compactRevision, replayed, leases: 0, seconds: 1 };
  return { state: 'done', result: { ...result, ...made } };
}

const failed = (code: 'damaged' | 'gap' | 'unusable', problem: string) =>
  ({ state: 'failed', code, problem }) as const;
