import type { LeaseRecord } from '../backup/segment.ts';
import type { EtcdClient } from '../etcd/client.ts';
import type { Timing } from '../timing.ts';

const roundMs = 250;
const atOnce = 16;
const timeoutMs = 5_000;
/** Of a lease that had ended, or could not be asked for, when its key was seen: as long as most are. */
const unknownTtl = 60;

/**
 * Keeps every lease of the scratch etcd alive while changes are replayed: an end of its own making would be a revision
 * that has never been. What has ended in truth is deleted by the record, key by key.
 */
export class LeaseKeeper {
  readonly #etcd: Pick<EtcdClient, 'call'>;
  readonly #timing: Timing;
  readonly #due = new Map<string, number>();
  /** Granted anew. */
  granted = 0;

  constructor(etcd: Pick<EtcdClient, 'call'>, timing: Timing) {
    this.#etcd = etcd;
    this.#timing = timing;
  }

  /** Those that the source holds already. */
  async begin(): Promise<void> {
    const { leases } = await this.#etcd.call('leaseList', {});
    for (const { id } of leases) this.#due.set(id, 0);
    await this.#round();
  }

  async grant({ id, ttl }: LeaseRecord): Promise<void> {
    if (this.#due.has(id)) return;
    await this.#etcd.call('leaseGrant', { id, ttl: String(ttl > 0 ? ttl : unknownTtl) });
    this.granted += 1;
    this.#due.set(id, 0);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#round();
      await this.#timing.sleep(roundMs, signal);
    }
  }

  async #round(): Promise<void> {
    const now = this.#timing.now().getTime();
    const due = [...this.#due].filter(([, at]) => at <= now).map(([id]) => id);
    for (let from = 0; from < due.length; from += atOnce) {
      await Promise.all(due.slice(from, from + atOnce).map((id) => this.#keep(id)));
    }
  }

  /** One that cannot be kept is found out by the revisions. */
  async #keep(id: string): Promise<void> {
    const answer = await this.#etcd.call('leaseKeepAlive', { id }, timeoutMs).catch(() => undefined);
    const ttl = Number(answer?.ttl ?? 0);
    if (answer !== undefined && ttl <= 0) this.#due.delete(id);
    else this.#due.set(id, this.#timing.now().getTime() + (ttl * 1_000) / 4);
  }
}
