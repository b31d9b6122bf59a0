import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** What was just closed still holds its buffers, and some of it is freed only by what the first collection frees. */
const delaysMs = [1_000, 3_000];

/**
 * Gives memory back after a piece of work that took much more than usual. An idle nanny allocates so little that V8 would
 * keep the buffers of a snapshot for hours, and etcd in the same task wants the memory for its page cache.
 */
export function giveMemoryBackSoon(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  for (const delayMs of delaysMs) setTimeout(collect, delayMs).unref();
}
