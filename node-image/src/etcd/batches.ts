import type { Readable } from 'node:stream';

/** More than this is not read ahead of whoever takes it. */
const aheadBytes = 512 * 1024;

/**
 * All that has arrived since the last time, as one batch. Without the JIT the async iterator of a stream costs something
 * for each 16 KiB: a snapshot is taken a tenth faster this way (268 MB in 1.9 instead of 2.1 s, for 8 MB of memory).
 * @param idle the longest wait for more, and what is thrown then: time that whoever takes it needs does not count
 * @throws what the stream fails with
 */
export async function* batchesOf(
  stream: Readable,
  idle: { ms: number; error: () => Error },
): AsyncGenerator<Buffer[]> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  let ended = false;
  let failure: Error | undefined;
  let wake: () => void = () => undefined;
  stream.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes > aheadBytes) stream.pause();
    wake();
  });
  stream.on('error', (error) => {
    failure = error;
    wake();
  });
  // Not 'end': what the trailers say comes after it.
  stream.on('close', () => {
    ended = true;
    wake();
  });
  for (;;) {
    if (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      bytes = 0;
      yield batch;
      if (stream.isPaused()) stream.resume();
      continue;
    }
    if (failure !== undefined) throw failure;
    if (ended) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = setTimeout(() => stream.destroy(idle.error()), idle.ms);
    });
    clearTimeout(timer);
  }
}
