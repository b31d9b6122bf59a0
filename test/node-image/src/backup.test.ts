import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { randomIds } from '../../../lambdas/adapters/random-ids.ts';
import { readDeltaName } from '../../../lambdas/core/model/backup.ts';
import type { Chain } from '../../../node-image/src/backup/chain-run.ts';
import {
  DamagedSegmentError,
  packSegment,
  type Segment,
  unpackSegment,
} from '../../../node-image/src/backup/segment.ts';
import { Shipper } from '../../../node-image/src/backup/shipper.ts';
import { EtcdError } from '../../../node-image/src/etcd/errors.ts';
import type { EtcdEvent, WatchResponse } from '../../../node-image/src/etcd/messages.ts';
import { S3Error } from '../../../node-image/src/s3/errors.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { until } from './support/until.ts';

const ids = randomIds({ now: () => new Date() });
const chainId = '01K0000000AAAAAAAAAAAAAAAA';
const prefix = 'c1/acme/1/delta/';
const order = { ship: true, chain: chainId, bucket: 'b', prefix, afterRevision: 10 } as const;

describe('a segment', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((content) => Buffer.from(content));
  const lease = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const change = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key: bytes, value: bytes, lease }),
    fc.record({ kind: fc.constant('delete' as const), key: bytes }),
  );
  const segment = fc
    .record({
      first: fc.integer({ min: 1, max: 2 ** 40 }),
      leases: fc.array(fc.record({ id: lease, ttl: fc.integer({ min: 0, max: 9_000_000 }) })),
      changes: fc.array(fc.tuple(fc.array(change, { maxLength: 5 }), fc.integer({ min: 0, max: 2e12 }))),
    })
    .map(({ first, leases, changes }) => ({
      leases,
      records: changes.map(([list, seenAtMs], n) => ({ revision: first + n, seenAtMs, changes: list })),
    }));

  test('is read as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(segment, async (written) => {
        expect(await unpackSegment(await packSegment(written))).toEqual(written);
      }),
    );
  });

  test('of which a byte was altered, or is missing, is never read', async () => {
    const object = await packSegment({
      leases: [],
      records: [{ revision: 7, seenAtMs: 1, changes: [{ kind: 'delete', key: Buffer.from('k') }] }],
    });
    for (let at = 0; at < object.length; at += 1) {
      const flipped = Buffer.from(object);
      flipped[at]! ^= 0x40;
      await expect(unpackSegment(flipped)).rejects.toThrow(DamagedSegmentError);
      await expect(unpackSegment(object.subarray(0, at))).rejects.toThrow(DamagedSegmentError);
    }
  });

  test('whose revisions do not follow each other is never read', async () => {
    const record = (revision: number) => ({ revision, seenAtMs: 1, changes: [] });
    const object = await packSegment({ leases: [], records: [record(7), record(9)] });
    await expect(unpackSegment(object)).rejects.toThrow('revision 9 follows 7');
  });
});

const put = (revision: number, value: Buffer | string = 'v', lease = '0', key = `k${revision}`): EtcdEvent =>
  ({
    type: 0,
    kv: { key: Buffer.from(key), value: Buffer.from(value), lease, modRevision: String(revision) },
  }) as EtcdEvent;

/** An etcd whose changes a test makes; a watch from a revision gets those that follow. */
class FakeEtcd {
  readonly log: EtcdEvent[] = [];
  revision = 10;
  /** How many answers were taken by watches. */
  taken = 0;
  compacted = 0;
  /** Left out of what watches are sent. */
  hidden: number | undefined;
  watches = 0;
  asked: string[] = [];

  write(...events: EtcdEvent[]): void {
    this.log.push(...events);
    this.revision = Number(events.at(-1)!.kv!.modRevision);
  }

  readonly open = () => ({
    watch: (from: number, _: number, signal: AbortSignal) => this.#watch(from, signal),
    call: (async (_name: string, { id }: { id: string }) => {
      this.asked.push(id);
      return id === '666' ? { ttl: '-1', grantedTtl: '0' } : { ttl: '3', grantedTtl: '60' };
    }) as never,
    close: () => undefined,
  });

  async *#watch(from: number, signal: AbortSignal): AsyncGenerator<WatchResponse> {
    this.watches += 1;
    if (from <= this.compacted) throw new EtcdError('compacted', 'compacted', { retryable: false });
    const header = () => ({ revision: String(this.revision) });
    for (let next = from; !signal.aborted; ) {
      const later = this.log.find(({ kv }) => Number(kv!.modRevision) >= next)?.kv;
      if (later === undefined) {
        yield { header: header(), events: [] as EtcdEvent[] } as WatchResponse;
        await delay(5);
        continue;
      }
      next = Number(later.modRevision) + 1;
      if (next === (this.hidden ?? 0) + 1) continue;
      this.taken += 1;
      const events = this.log.filter(({ kv }) => kv!.modRevision === later.modRevision);
      // As etcd divides what is large.
      for (; events.length > 4; ) {
        yield { header: header(), fragment: true, events: events.splice(0, 3) } as WatchResponse;
      }
      yield { header: header(), events } as WatchResponse;
    }
    throw new Error('aborted');
  }
}

class FakeStore {
  readonly objects = new Map<string, Buffer>();
  fail: (() => Error) | undefined;
  loseAnswers = 0;
  puts = 0;

  readonly put = async ({ key }: { key: string }, body: Buffer) => {
    this.puts += 1;
    if (this.fail) throw this.fail();
    if (this.objects.has(key)) throw new S3Error('PreconditionFailed', 'there', { retryable: false });
    this.objects.set(key, body);
    if (this.loseAnswers > 0) {
      this.loseAnswers -= 1;
      throw new S3Error('unreachable', 'lost', { retryable: true });
    }
  };

  names() {
    return [...this.objects].map(([key, body]) => readDeltaName(key, body.length)!);
  }

  async segments(): Promise<Segment[]> {
    return await Promise.all([...this.objects.values()].map(unpackSegment));
  }

  async revisions(): Promise<number[]> {
    return (await this.segments()).flatMap(({ records }) => records.map(({ revision }) => revision));
  }
}

const running: Shipper[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((shipper) => shipper.stop()));
});

function scene(limits: object = {}) {
  const etcd = new FakeEtcd();
  const store = new FakeStore();
  const disk: { chain: Chain | undefined } = { chain: undefined };
  let changes = 0;
  const quiet = () => undefined;
  const start = () => {
    const shipper = new Shipper({
      s3: store,
      openEtcd: etcd.open,
      ulid: () => ids.ulid(),
      saved: () => disk.chain,
      save: async (chain) => {
        disk.chain = chain;
      },
      onChange: () => {
        changes += 1;
      },
      log: { info: quiet, warn: quiet, error: quiet },
      timing: { ...realTiming, sleep: (ms, signal) => realTiming.sleep(ms / 50, signal) },
      limits: { segmentMs: 30, ...limits },
    });
    running.push(shipper);
    return shipper;
  };
  return { etcd, store, disk, start, changes: () => changes };
}

describe('a nanny that ships the change stream', () => {
  test('puts every revision into a segment, under a name that says which, and says how far it is', async () => {
    const { etcd, store, start, changes } = scene();
    const shipper = start();
    await shipper.order(order);
    for (let revision = 11; revision <= 40; revision += 1) {
      etcd.write(put(revision));
      if (revision % 7 === 0) await delay(20);
    }
    await until('all is shipped', () => shipper.view?.shippedRevision === 40);
    expect(await store.revisions()).toEqual(Array.from({ length: 30 }, (_, n) => 11 + n));
    const names = store.names();
    expect(names.length).toBeGreaterThan(1);
    for (const [n, { first, last, key }] of names.entries()) {
      expect(key.startsWith(prefix)).toBe(true);
      expect(first).toBe(n === 0 ? 11 : names[n - 1]!.last + 1);
      expect(last).toBeGreaterThanOrEqual(first);
    }
    expect(shipper.view).toMatchObject({ chain: chainId, pending: 0 });
    expect(changes()).toBe(0);
  });

  test('is up to date as long as nothing changes, and not a moment longer than it knows', async () => {
    const { etcd, store, start } = scene();
    const shipper = start();
    const before = Date.now();
    await shipper.order(order);
    await until('it has looked', () => Date.parse(shipper.view!.upToDateAt) >= before);
    store.fail = () => new S3Error('AccessDenied', 'No.', { retryable: false });
    etcd.write(put(11));
    await until('it says what is wrong', () => shipper.view?.problem);
    const stuckAt = shipper.view!.upToDateAt;
    await delay(50);
    expect(shipper.view).toMatchObject({ upToDateAt: stuckAt, pending: 1, shippedRevision: 10 });
    store.fail = undefined;
    await until('it is shipped', () => shipper.view?.pending === 0);
    expect(shipper.view?.problem).toBeUndefined();
    expect(Date.parse(shipper.view!.upToDateAt)).toBeGreaterThan(Date.parse(stuckAt));
  });

  test('keeps the changes of one revision together, however large, and closes a segment that is full', async () => {
    const { etcd, store, start } = scene({ segmentBytes: 20_000, segmentMs: 60_000 });
    const shipper = start();
    await shipper.order(order);
    const big = Array.from({ length: 30 }, (_, n) => put(12, Buffer.alloc(3_000, n), '0', `big${n}`));
    etcd.write(put(11));
    etcd.write(...big);
    etcd.write(put(13, Buffer.alloc(20_000)));
    await until('they are full', () => shipper.view?.shippedRevision === 13);
    const segments = await store.segments();
    const found = segments.flatMap(({ records }) => records).find(({ revision }) => revision === 12)!;
    expect(found.changes.length).toBe(30);
    expect(store.names().map(({ first, last }) => [first, last])).toEqual([
      [11, 12],
      [13, 13],
    ]);
  });

  test('tells the granted time of each lease that a segment uses, once in each', async () => {
    const { etcd, store, start } = scene();
    const shipper = start();
    await shipper.order(order);
    for (const revision of [11, 12])
      etcd.write(put(revision, 'v', '7587869034'), put(revision, 'v', '666', 'x'));
    await until('shipped', () => shipper.view?.shippedRevision === 12);
    etcd.write(put(13, 'v', '7587869034'));
    await until('shipped', () => shipper.view?.shippedRevision === 13);
    const leases = (await store.segments()).map((segment) => segment.leases);
    expect(leases[0]).toEqual([
      { id: '7587869034', ttl: 60 },
      { id: '666', ttl: 0 },
    ]);
    expect(leases.at(-1)).toEqual([{ id: '7587869034', ttl: 60 }]);
  });

  test('goes on after a restart with what is surely stored, and repeats no order', async () => {
    const { etcd, store, start, disk } = scene();
    const first = start();
    await first.order(order);
    etcd.write(put(11));
    await until('shipped', () => first.view?.shippedRevision === 11);
    await first.order(order);
    expect(first.view?.shippedRevision).toBe(11);
    await first.stop();
    etcd.write(put(12));
    const second = start();
    second.resume();
    await until('shipped', () => second.view?.shippedRevision === 12);
    expect(await store.revisions()).toEqual([11, 12]);
    await second.order({ ship: false });
    expect([second.view, disk.chain]).toEqual([undefined, undefined]);
    const third = start();
    third.resume();
    expect(third.view).toBeUndefined();
  });

  test('ships what it has seen before it ends, but waits for no store that is down', async () => {
    const { etcd, store, start } = scene({ segmentMs: 60_000 });
    const shipper = start();
    await shipper.order(order);
    etcd.write(put(11));
    await until('seen', () => shipper.view?.pending === 1);
    await shipper.stop();
    expect(await store.revisions()).toEqual([11]);
    const stuck = start();
    stuck.resume();
    store.fail = () => new S3Error('unreachable', 'down', { retryable: true });
    etcd.write(put(12));
    await until('seen', () => stuck.view?.pending === 1);
    const before = Date.now();
    await stuck.stop();
    expect(Date.now() - before).toBeLessThan(6_000);
  });

  test('reads no further while the store is down, and loses nothing of it', async () => {
    const { etcd, store, start } = scene({ mostBytes: 20_000, segmentBytes: 5_000 });
    store.fail = () => new S3Error('SlowDown', 'down', { retryable: true });
    const shipper = start();
    await shipper.order(order);
    for (let revision = 11; revision <= 110; revision += 1) etcd.write(put(revision, Buffer.alloc(2_000)));
    await until('it waits', () => shipper.view?.problem);
    await delay(50);
    expect(etcd.taken).toBeLessThan(20);
    store.fail = undefined;
    await until('all is shipped', () => shipper.view?.shippedRevision === 110);
    expect(await store.revisions()).toEqual(Array.from({ length: 100 }, (_, n) => 11 + n));
  });

  test('takes a segment whose answer got lost as stored', async () => {
    const { etcd, store, start } = scene();
    store.loseAnswers = 1;
    const shipper = start();
    await shipper.order(order);
    etcd.write(put(11));
    await until('shipped', () => shipper.view?.shippedRevision === 11);
    expect([store.objects.size, store.puts]).toEqual([1, 2]);
  });

  test('says that the chain is broken when etcd has compacted what comes next', async () => {
    const { etcd, start, disk, changes } = scene();
    etcd.compacted = 20;
    const shipper = start();
    await shipper.order(order);
    const broken = await until('it is broken', () => shipper.view?.broken);
    expect(broken).toContain('compacted');
    expect(disk.chain?.broken).toBe(broken);
    expect(changes()).toBe(1);
    const restarted = start();
    restarted.resume();
    expect(restarted.view?.broken).toBe(broken);
    await restarted.order({ ...order, chain: '01K0000001AAAAAAAAAAAAAAAA', afterRevision: 25 });
    etcd.write(put(26));
    await until('another chain goes on', () => restarted.view?.shippedRevision === 26);
  });

  test('never ships over a revision that is missing: asks once more, then says so', async () => {
    const { etcd, store, start } = scene();
    etcd.hidden = 12;
    const shipper = start();
    await shipper.order(order);
    for (let revision = 11; revision <= 14; revision += 1) etcd.write(put(revision));
    const broken = await until('it is broken', () => shipper.view?.broken);
    expect(broken).toContain('etcd sent revision 13 where 12 was to come');
    expect(etcd.watches).toBe(2);
    await until('what came before is stored', () => shipper.view?.shippedRevision === 11);
    expect(await store.revisions()).toEqual([11]);
  });
});
