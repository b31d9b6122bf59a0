import { EtcdClient } from '../../../../node-image/src/etcd/client.ts';
import type { ClientTls } from '../../../../node-image/src/etcd/grpc.ts';

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
      const put = (client: EtcdClient) =>
        client.call('put', { key: Buffer.from(`writer/${n % 50}`), value: Buffer.from(String(n)) }, 3_000);
      try {
        await put(this.#at(n)).catch(() => put(this.#at(n + 1)));
        this.written += 1;
        const now = performance.now();
        this.longestGapMs = Math.max(this.longestGapMs, now - lastAt);
        lastAt = now;
      } catch (error) {
        this.errors.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #at(n: number): EtcdClient {
    return this.#clients[n % this.#clients.length]!;
  }
}
