import type { EtcdClient } from '../../../node-image/src/etcd/client.ts';
import { keysOf } from '../../node-image/src/support/backup-cluster.ts';
import { until } from '../../node-image/src/support/until.ts';

/** What a client found at a revision, and when: ms since the epoch. */
export interface Moment {
  readonly revision: number;
  /** Every key with its value, revisions and lease, as `keysOf` has it. */
  readonly keys: readonly string[];
  /** It was not there yet when this look was sent. */
  readonly notBefore: number;
  /** It was there when this answer came. */
  readonly surelyBy: number;
}

const leaseEveryMs = 4_000;
const everything = Buffer.from([0]);
const utf8 = (text: string): Buffer => Buffer.from(text);
const upTo = (below: number): number => Math.floor(Math.random() * below);
const value = (): Buffer => utf8(`${Math.random()}`.repeat(1 + upTo(20)));

/**
 * A client that changes one thing after the other and reads everything after each: what the keys were at every revision,
 * those included that came by themselves, as when a lease ends.
 */
export class RecordedHistory {
  readonly moments: Moment[] = [];
  readonly #client: EtcdClient;
  readonly #leaseSeconds: number;
  #sent = 0;
  #lease = { id: '0', at: 0 };

  private constructor(client: EtcdClient, leaseSeconds: number) {
    this.#client = client;
    this.#leaseSeconds = leaseSeconds;
  }

  /** What is there already is its first moment. @param leaseSeconds of the leases that some of the keys get */
  static async begin(client: EtcdClient, leaseSeconds: number): Promise<RecordedHistory> {
    const history = new RecordedHistory(client, leaseSeconds);
    await history.look();
    return history;
  }

  get last(): Moment {
    return this.moments.at(-1)!;
  }

  at(revision: number): Moment {
    const found = this.moments.find((moment) => moment.revision === revision);
    if (found === undefined) throw new Error(`Nobody looked at revision ${revision}.`);
    return found;
  }

  /**
   * The revisions that somebody may be given who asks for that time (ms since the epoch) and accepts what is `lateMs`
   * older: never one that was not there yet.
   */
  within(at: number, lateMs: number): { least: number; most: number } {
    const least = this.moments.findLast(({ surelyBy }) => surelyBy <= at - lateMs) ?? this.moments[0]!;
    const most = this.moments.findLast(({ notBefore }) => notBefore <= at) ?? this.moments[0]!;
    return { least: least.revision, most: most.revision };
  }

  /** One change after the other. A change that fails, as while nobody leads, may have happened: the look tells. */
  async go(changes: number): Promise<void> {
    for (let n = 0; n < changes; n += 1) {
      await this.#change().catch(() => {});
      await this.look();
    }
  }

  async look(): Promise<void> {
    await until('a look at all keys', async () => {
      const sent = Date.now();
      const { header } = await this.#client.call('range', { key: everything, countOnly: true }, 2_000);
      const [surelyBy, newest] = [Date.now(), Number(header!.revision)];
      const seen = this.moments.at(-1)?.revision ?? newest - 1;
      const notBefore = this.#sent;
      for (let revision = seen + 1; revision <= newest; revision += 1) {
        const keys = await keysOf(this.#client, revision);
        this.moments.push({ revision, keys, notBefore, surelyBy });
      }
      this.#sent = sent;
      return true;
    });
  }

  async #change(): Promise<void> {
    const kind = Math.random();
    if (kind < 0.45) return this.#put();
    if (kind < 0.6) return this.#putLeased();
    if (kind < 0.75) return void (await this.#client.call('deleteRange', { key: utf8(`k/${upTo(60)}`) }));
    if (kind < 0.8) {
      const from = upTo(6);
      const range = { key: utf8(`k/${from}`), rangeEnd: utf8(`k/${from + 1}`) };
      return void (await this.#client.call('deleteRange', range));
    }
    return this.#transaction();
  }

  async #put(): Promise<void> {
    await this.#client.call('put', { key: utf8(`k/${upTo(60)}`), value: value() });
  }

  async #putLeased(): Promise<void> {
    if (Date.now() > this.#lease.at + leaseEveryMs) {
      const { id } = await this.#client.call('leaseGrant', { ttl: String(this.#leaseSeconds) });
      this.#lease = { id, at: Date.now() };
    }
    await this.#client.call('put', { key: utf8(`l/${upTo(30)}`), value: value(), lease: this.#lease.id });
  }

  /** Many keys at one revision, and some that go. */
  async #transaction(): Promise<void> {
    const first = upTo(40);
    const puts = Array.from({ length: 2 + upTo(50) }, (_, n) => ({
      put: { key: utf8(`t/${(first + n) % 90}`), value: value(), lease: '0' },
    }));
    const gone = { key: utf8(`k/${upTo(6)}`), rangeEnd: utf8('k/9'), prevKv: false };
    await this.#client.call('txn', { success: [...puts, { deleteRange: gone }] as never });
  }
}
