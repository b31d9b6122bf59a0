import type { EtcdClient } from '../etcd/client.ts';
import type { Timing } from '../timing.ts';
import type { LeaseRecord, RevisionRecord } from './segment.ts';

const keptLeases = 5_000;
const askedAtOnce = 16;
const tries = 3;
const retryMs = 300;
const timeoutMs = 2_000;

/** How long leases were granted for. Asked once for each; etcd's answer never changes while the lease lives. */
export class LeaseTimes {
  readonly #known = new Map<string, number>();
  readonly #timing: Timing;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /** Every lease that these puts use. One that cannot be asked for is no reason not to ship: 0 then. */
  async of(
    records: readonly RevisionRecord[],
    etcd: Pick<EtcdClient, 'call'>,
    signal: AbortSignal,
  ): Promise<LeaseRecord[]> {
    const ids = new Set<string>();
    for (const { changes } of records) {
      for (const change of changes) {
        if (change.kind === 'put' && change.lease !== '0') ids.add(change.lease);
      }
    }
    const unknown = [...ids].filter((id) => !this.#known.has(id));
    for (let from = 0; from < unknown.length; from += askedAtOnce) {
      await Promise.all(
        unknown.slice(from, from + askedAtOnce).map(async (id) => {
          const ttl = await this.#ask(id, etcd, signal);
          if (ttl !== undefined) this.#known.set(id, ttl);
        }),
      );
    }
    const leases = [...ids].map((id) => ({ id, ttl: this.#known.get(id) ?? 0 }));
    for (const id of this.#known.keys()) {
      if (this.#known.size <= keptLeases) break;
      this.#known.delete(id);
    }
    return leases;
  }

  /** undefined: it has ended, or etcd does not answer. */
  async #ask(id: string, etcd: Pick<EtcdClient, 'call'>, signal: AbortSignal): Promise<number | undefined> {
    for (let attempt = 0; attempt < tries && !signal.aborted; attempt += 1) {
      try {
        const { ttl, grantedTtl } = await etcd.call('leaseTimeToLive', { id }, timeoutMs);
        return Number(ttl) < 0 ? undefined : Number(grantedTtl);
      } catch {
        await this.#timing.sleep(retryMs, signal);
      }
    }
    return undefined;
  }
}
