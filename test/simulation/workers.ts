import { type WorkOrder, type WorkProgress, workPhases } from '../../lambdas/core/wire/work.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { Bucket } from './bucket.ts';
import { isRunning, type Task } from './fargate.ts';
import type { Random } from './random.ts';

export interface WorkerWorld {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly bucket: Bucket;
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

function resultOf(
  { source, deltas, until, output, compactRevision = 0 }: WorkOrder,
  { bucket, clock }: WorkerWorld,
): WorkProgress {
  if (source.kind !== 'full') throw new Error('Disks end with their tasks, in this world.');
  const { key } = source;
  const state = bucket.restore(key, deltas?.prefix, until?.revision);
  if (state === undefined) return { state: 'failed', code: 'damaged', problem: `${key} is not there`, key };
  if (output) bucket.put(output.key, state, clock.now().getTime());
  const { revision, content } = state;
  const replayed = Math.max(0, revision - source.revision);
  const made = output && { output: { key: output.key, sha256: output.key, bytes: 1 } };
  const result = {
    revision,
    keys: content.length,
    hash: 1,
    compactRevision,
    replayed,
    leases: 0,
    seconds: 1,
  };
  return { state: 'done', result: { ...result, ...made } };
}
