import { type WorkOrder, type WorkProgress, workPhases } from '../../../lambdas/core/wire/work.ts';
import type { SimBucket } from './sim-bucket.ts';
import type { SimTask } from './sim-ecs.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SimWorker {
  readonly task: SimTask;
  readonly order: WorkOrder;
  readonly clock: VirtualClock;
  readonly bucket: Pick<SimBucket, 'work' | 'disks'>;
  readonly phaseMs: number;
  readonly onPhase: (phase: string) => void;
  /** POST work; true: the task may leave. */
  readonly post: (progress: WorkProgress) => Promise<boolean>;
}

/**
 * A task beside the cluster: does what it was told, tells of it until it may leave.
 * @returns what was wrong with the order, if anything was
 */
export async function runSimWorker(worker: SimWorker): Promise<string | undefined> {
  const { task, order, clock, bucket, phaseMs, onPhase, post } = worker;
  const isStopped = (): boolean => task.desiredStatus === 'STOPPED';
  for (const phase of workPhases) {
    onPhase(phase);
    if (isStopped() || (await post({ state: 'running', phase }))) return undefined;
    await clock.sleep(phaseMs);
  }
  if (isStopped()) return undefined;
  const last = bucket.work(order, bucket.disks.get(task.memberName));
  while (!isStopped() && !(await post(last.progress))) await clock.sleep(1_000);
  return last.problem;
}
