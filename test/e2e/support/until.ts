import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './runtime.ts';

/**
 * Waits until `look` gives something else than undefined or false.
 * @throws Error naming what was waited for and the last failure, after `deadlineMs`, three times as much with containers
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  options: { deadlineMs?: number; everyMs?: number } = {},
): Promise<T> {
  const { everyMs = 200 } = options;
  const deadlineMs = (options.deadlineMs ?? 60_000) * patience;
  const end = Date.now() + deadlineMs;
  let last: unknown = 'nothing yet';
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(`Waited ${deadlineMs} ms for: ${what}. Last: ${String(last)}`, { cause: last });
    await sleep(everyMs);
  }
}
