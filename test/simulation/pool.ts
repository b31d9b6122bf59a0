import { Worker } from 'node:worker_threads';
import { isFailed, type Summary } from './summary.ts';

export interface Batch {
  readonly first: number;
  readonly histories: number;
  readonly workers: number;
  /** No history is begun after so many ms. */
  readonly limitMs: number;
  /** Enough is known after so many failures. */
  readonly failures: number;
}

/**
 * Histories of consecutive seeds on all workers. Seeds are given out in order, so that what was run is always a run of
 * seeds without gaps; it ends with the last failure wanted, whoever was first to finish. Only the time limit can make
 * the answer depend on the machine.
 *
 * @returns in the order of the seeds
 */
export async function runBatch(
  batch: Batch,
  told: (summary: Summary, done: number) => void,
): Promise<Summary[]> {
  const { first, histories, workers, limitMs, failures } = batch;
  const started = performance.now();
  const summaries: Summary[] = [];
  let [given, failed] = [0, 0];
  const next = (): number | undefined => {
    if (given >= histories || failed >= failures || performance.now() - started >= limitMs) return undefined;
    given += 1;
    return first + given - 1;
  };
  const serve = (): Promise<void> =>
    new Promise((resolve, reject) => {
      // Most of what a history makes is garbage soon: a larger nursery saves a good part of the collector's work.
      const worker = new Worker(new URL('./worker.ts', import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      });
      const give = (): void => {
        const seed = next();
        if (seed === undefined) worker.terminate().then(() => resolve(), reject);
        else worker.postMessage(seed);
      };
      worker.on('message', (summary: Summary) => {
        summaries.push(summary);
        if (isFailed(summary)) failed += 1;
        told(summary, summaries.length);
        give();
      });
      worker.on('error', reject);
      give();
    });
  await Promise.all(Array.from({ length: Math.min(workers, histories) }, serve));
  summaries.sort((a, b) => a.seed - b.seed);
  let seen = 0;
  const last = summaries.findIndex((summary) => isFailed(summary) && ++seen === failures);
  return last < 0 ? summaries : summaries.slice(0, last + 1);
}
