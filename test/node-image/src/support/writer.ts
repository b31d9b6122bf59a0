import { setTimeout as sleep } from 'node:timers/promises';
import { EtcdClient } from '../../../../node-image/src/etcd/client.ts';
import type { ClientTls } from '../../../../node-image/src/etcd/grpc.ts';

/**
 * While leadership is handed over etcd drops proposals, those that a follower passed on without a word; raft gives a
 * transfer up after one election timeout, which is one second here. A retry that comes earlier may meet the same hand-over.
 */
const retryAfterMs = 1_000;

/** A client that keeps writing over all endpoints and tries each write once more on the next one. */
export class Writer {
  readonly errors: string[] = [];
  written = 0;
  longestGapMs = 0;
  readonly #clients: EtcdClient[];
  #stop = false;
  #done: Promise<void>;

  constructor(tls: ClientTls, ips: readonly string[]) {
    this.#clients = ips.map((ip) => new EtcdClient(`https://${ip}:2379`, tls));
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
    for (const client of this.#clients) client.close();
  }

  async #run(): Promise<void> {
    let lastAt = performance.now();
    for (let n = 0; !this.#stop; n += 1) {
      try {
        await this.#put(n);
        this.written += 1;
        const now = performance.now();
        this.longestGapMs = Math.max(this.longestGapMs, now - lastAt);
        lastAt = now;
      } catch (error) {
        this.errors.push(String(error));
      }
      await sleep(5);
    }
  }

  /** @throws what its second attempt was told, and before it the first */
  async #put(n: number): Promise<void> {
    const begun = performance.now();
    await this.#attempt(n).catch(async (first) => {
      await sleep(Math.max(0, retryAfterMs - (performance.now() - begun)));
      await this.#attempt(n + 1).catch((second) => {
        throw new Error(`${second} (before: ${first})`);
      });
    });
  }

  /** One attempt. An endpoint that refuses the connection was never asked, so it is passed over. */
  async #attempt(n: number): Promise<void> {
    let refused: unknown;
    for (let other = 0; other < this.#clients.length; other += 1) {
      const client = this.#clients[(n + other) % this.#clients.length]!;
      try {
        await client.call(
          'put',
          { key: Buffer.from(`writer/${n % 50}`), value: Buffer.from(String(n)) },
          3_000,
        );
        return;
      } catch (error) {
        if (!String(error).includes('ECONNREFUSED')) throw error;
        refused = error;
      }
    }
    throw refused;
  }
}
