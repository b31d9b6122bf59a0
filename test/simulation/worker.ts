import { parentPort } from 'node:worker_threads';
import { runHistory } from './history.ts';
import { drawScript } from './script.ts';
import { type Summary, summaryOf } from './summary.ts';

/** Histories of the seeds that come as messages, one after the other. */
const port = parentPort!;
// Thousands of faults are errors that nobody reads; whoever tells of a failed history runs it again with traces.
Error.stackTraceLimit = 0;
port.on('message', async (seed: number) => {
  const summary: Summary = await summaryOf(await runHistory(drawScript(seed)));
  port.postMessage(summary);
});
