import { ControlPlaneError } from '../../../lambdas/core/errors.ts';
import { deltaName } from '../../../lambdas/core/model/backup.ts';
import type { Log } from '../../../lambdas/core/ports.ts';
import type { EtcdClient } from '../etcd/client.ts';
import type { WatchResponse } from '../etcd/messages.ts';
import { sentence } from '../log.ts';
import type { S3Client } from '../s3/client.ts';
import { S3Error } from '../s3/errors.ts';
import { backOffMs, type Timing } from '../timing.ts';
import { LeaseTimes } from './leases.ts';
import { type Limits, Pending } from './pending.ts';
import { Revisions } from './revisions.ts';
import { packSegment, type RevisionRecord } from './segment.ts';

/** What a chain needs to be continued by a nanny that was restarted. */
export interface Chain {
  readonly chain: string;
  readonly bucket: string;
  readonly prefix: string;
  /** As ordered. */
  readonly afterRevision: number;
  /** Everything up to here is in S3. */
  readonly shippedRevision: number;
  readonly upToDateAt: string;
  readonly broken?: string | undefined;
}

export interface ChainDeps {
  readonly s3: Pick<S3Client, 'put'>;
  /** A client of its own for each watch: a big stream must not hold up the small calls. */
  readonly openEtcd: () => Pick<EtcdClient, 'watch' | 'call' | 'close'>;
  readonly ulid: () => string;
  /** After each segment, and when the chain is broken. May fail: what is shipped twice then is harmless. */
  readonly save: (chain: Chain) => Promise<void>;
  /** `problem` or `broken` has changed. */
  readonly onChange: () => void;
  readonly log: Log;
  readonly timing: Timing;
  readonly limits?: Partial<Limits>;
}

const usual: Limits = {
  segmentBytes: 4 * 1024 * 1024,
  segmentMs: 5_000,
  mostBytes: 16 * 1024 * 1024,
};
/** etcd sends word each 5 s when nothing changes. */
const idleMs = 30_000;
const watchBackOff = { firstMs: 100, maxMs: 3_000 };
const storeBackOff = { firstMs: 500, maxMs: 15_000 };
/** A segment is due each 5 s: a store that takes longer than two of them for one does not keep up. */
const slowMs = 10_000;
const slowStore = `Changes are stored slowly: S3 takes more than ${slowMs / 1_000} s for a segment`;
/** About 6 s: a restart of etcd or an election is no problem yet. */
const failuresForProblem = 6;

class GapError extends ControlPlaneError {
  constructor(wanted: number, found: number) {
    super('gap', `etcd sent revision ${found} where ${wanted} was to come`);
  }
}

/** Ships one chain: one loop reads the changes, one closes segments and puts them into S3. */
export class ChainRun {
  readonly #deps: ChainDeps;
  readonly #pending: Pending;
  readonly #leases: LeaseTimes;
  /** Nothing more is read; what waits is shipped still. */
  readonly #ending = new AbortController();
  /** Nothing more is done. */
  readonly #giveUp = new AbortController();
  readonly #done: Promise<unknown>;
  #chain: Chain;
  #received: number;
  #problems: { store?: string | undefined; watch?: string | undefined } = {};

  constructor(chain: Chain, deps: ChainDeps) {
    this.#deps = deps;
    this.#chain = chain;
    this.#received = chain.shippedRevision;
    this.#pending = new Pending({ ...usual, ...deps.limits });
    this.#leases = new LeaseTimes(deps.timing);
    this.#done = Promise.all([this.#read(), this.#write()]);
  }

  get chain(): Chain {
    return this.#chain;
  }

  get pending(): number {
    return this.#received - this.#chain.shippedRevision;
  }

  get problem(): string | undefined {
    return this.#problems.store ?? this.#problems.watch;
  }

  /** Rejects on a fault of ours only. */
  get done(): Promise<unknown> {
    return this.#done;
  }

  /** Ships what has been seen, if that takes no longer than `withinMs`. */
  async end(withinMs: number): Promise<void> {
    this.#ending.abort();
    this.#pending.drain();
    const timer = setTimeout(() => this.#giveUp.abort(), withinMs);
    // What is under way in S3 may go on behind our back: it is whole or it is not there.
    await Promise.race([this.#done, new Promise((resolve) => setTimeout(resolve, withinMs + 100).unref())]);
    clearTimeout(timer);
  }

  async #read(): Promise<void> {
    const { openEtcd, timing, log } = this.#deps;
    const { signal } = this.#ending;
    let failures = 0;
    let gapAt = -1;
    while (!signal.aborted && this.#chain.broken === undefined) {
      const etcd = openEtcd();
      const revisions = new Revisions();
      try {
        for await (const answer of etcd.watch(this.#received + 1, idleMs, signal)) {
          this.#take(answer, revisions);
          failures = 0;
          this.#note({ watch: undefined });
          await this.#pending.room();
          if (signal.aborted) break;
        }
      } catch (error) {
        if (signal.aborted) break;
        const { code } = error as ControlPlaneError;
        // Asked again once: what is in etcd tells better than what was announced.
        if (code === 'compacted' || (code === 'gap' && gapAt === this.#received)) {
          await this.#break(sentence(error));
          break;
        }
        if (code === 'gap') gapAt = this.#received;
        failures += 1;
        if (failures === 1) log.info(`The change stream is opened again: ${sentence(error)}`);
        if (failures >= failuresForProblem) {
          this.#note({ watch: `The change stream cannot be read: ${sentence(error)}` });
        }
        await timing.sleep(backOffMs(failures - 1, timing, watchBackOff), signal);
      } finally {
        etcd.close();
      }
    }
    this.#pending.drain();
  }

  /** @throws GapError */
  #take(answer: WatchResponse, revisions: Revisions): void {
    const nowMs = this.#deps.timing.now().getTime();
    for (const record of revisions.next(answer, nowMs)) {
      if (record.revision <= this.#received) continue;
      if (record.revision !== this.#received + 1) throw new GapError(this.#received + 1, record.revision);
      this.#received = record.revision;
      this.#pending.add(record);
    }
    const seen = Number(answer.header?.revision ?? 0);
    if (this.pending === 0 && answer.events.length === 0 && seen === this.#received) this.#upToDate(nowMs);
  }

  async #write(): Promise<void> {
    const nowMs = () => this.#deps.timing.now().getTime();
    while (await this.#pending.due(nowMs)) {
      if (this.#giveUp.signal.aborted) return;
      const { records, rest } = this.#pending.take();
      // Whatever was seen until now is in it, unless there was more than fits.
      const completeUntilMs = rest === 0 ? nowMs() : records.at(-1)!.seenAtMs;
      if (!(await this.#ship(records))) return;
      this.#upToDate(completeUntilMs);
      const shippedRevision = records.at(-1)!.revision;
      this.#chain = { ...this.#chain, shippedRevision };
      await this.#save();
    }
  }

  /** Again and again until it is in S3; false when told to give up. */
  async #ship(records: readonly RevisionRecord[]): Promise<boolean> {
    const { s3, openEtcd, ulid, timing, log } = this.#deps;
    const { bucket, prefix } = this.#chain;
    const { signal } = this.#giveUp;
    const etcd = openEtcd();
    const leases = await this.#leases.of(records, etcd, signal).finally(() => etcd.close());
    const object = await packSegment({ leases, records });
    const key = `${prefix}${deltaName(records[0]!.revision, records.at(-1)!.revision, ulid())}`;
    const begun = timing.now().getTime();
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const answered = new AbortController();
      const late = timing.sleep(slowMs, answered.signal).then(() => {
        if (!answered.signal.aborted && attempt === 0) this.#note({ store: slowStore });
      });
      try {
        await s3.put({ bucket, key }, object, {}).finally(() => answered.abort());
        this.#note({ store: timing.now().getTime() - begun > slowMs ? slowStore : undefined });
        return true;
      } catch (error) {
        // The key is ours alone: there is what an earlier try has put, whose answer got lost.
        if (error instanceof S3Error && error.code === 'PreconditionFailed') {
          this.#note({ store: undefined });
          return true;
        }
        if (attempt === 0) log.warn(`A segment could not be stored: ${sentence(error)}`, { key });
        this.#note({ store: `Changes cannot be stored: ${sentence(error)}` });
        await timing.sleep(backOffMs(attempt, timing, storeBackOff), signal);
      } finally {
        await late;
      }
    }
    return false;
  }

  #upToDate(ms: number): void {
    if (ms <= Date.parse(this.#chain.upToDateAt)) return;
    this.#chain = { ...this.#chain, upToDateAt: new Date(ms).toISOString() };
  }

  async #break(why: string): Promise<void> {
    const { log, onChange } = this.#deps;
    const broken = `The chain of changes ends at revision ${this.#received}: ${why}`;
    this.#chain = { ...this.#chain, broken };
    log.error(broken, { chain: this.#chain.chain });
    onChange();
    await this.#save();
  }

  async #save(): Promise<void> {
    const { save, log } = this.#deps;
    await save(this.#chain).catch((error) =>
      log.warn(`How far the chain is shipped could not be noted: ${sentence(error)}`),
    );
  }

  #note(change: { store?: string | undefined; watch?: string | undefined }): void {
    const before = this.problem;
    this.#problems = { ...this.#problems, ...change };
    if (this.problem !== before) this.#deps.onChange();
  }
}
