import { expect, it } from 'vitest';
import { dueShard } from '../../lambdas/core/due-shard.ts';
import { ConflictError, InvalidRequestError } from '../../lambdas/core/errors.ts';
import type { Page, TenantStore } from '../../lambdas/core/ports.ts';
import { backup, operation, rollout, tenantRecord, timelineEvent } from './tenant-record.ts';

export interface StoreWorld {
  readonly store: TenantStore;
  /** The clock that the store goes by. */
  setNow(now: Date): void;
}

/** What every TenantStore promises. `fresh` gives an empty one. */
export function tenantStoreContract(fresh: () => Promise<StoreWorld>): void {
  const ids = ['t01', 't02', 't03', 't04', 't05'];

  it('gives back exactly the record that was created', async () => {
    const { store } = await fresh();
    const record = tenantRecord('acme', {
      lease: undefined,
      operation: { operationId: '01', kind: 'create' },
    });
    await store.create(record);
    expect(await store.get('acme')).toEqual(JSON.parse(JSON.stringify(record)));
    expect(await store.get('other')).toBeUndefined();
  });

  it('never creates a tenant over another of the same name', async () => {
    const { store } = await fresh();
    await store.create(tenantRecord('acme'));
    await expect(store.create(tenantRecord('acme', { owner: 'somebody else' }))).rejects.toThrow(
      ConflictError,
    );
    expect((await store.get('acme'))?.owner).toContain('admin');
  });

  it('saves for one of many writers that read the same version, and tells the others', async () => {
    const { store } = await fresh();
    await store.create(tenantRecord('acme'));
    const saves = await Promise.allSettled(
      Array.from({ length: 8 }, (_, fence) =>
        store.save(tenantRecord('acme', { recordVersion: 2, fence }), 1),
      ),
    );
    expect(saves.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const save of saves) {
      if (save.status === 'rejected') expect(save.reason).toBeInstanceOf(ConflictError);
    }
    expect((await store.get('acme'))?.recordVersion).toBe(2);
  });

  it('keeps manifests of backups newest first, apart from each tenant, and beyond the tenant itself', async () => {
    const { store } = await fresh();
    await store.create(tenantRecord('acme'));
    const first = backup('acme', '01KAY0000000000000000000A1');
    const second = backup('acme', '01KAY0000000000000000000B2');
    for (const each of [first, second, backup('other', '01KAY0000000000000000000C3')])
      await store.putBackup(each);
    expect(await store.listBackups('acme')).toEqual([second, first]);
    const damaged = { at: '2026-11-22T11:00:00.000Z', problem: 'not there' };
    await store.putBackup({ ...first, damaged });
    await store.remove('acme', 1);
    expect(await store.listBackups('acme')).toEqual([second, { ...first, damaged }]);
    expect(await store.getBackup('acme', second.backupId)).toEqual(second);
    expect(await store.getBackup('other', second.backupId)).toBeUndefined();
    await store.removeBackup('acme', second.backupId);
    await store.removeBackup('acme', second.backupId);
    expect(await store.listBackups('acme')).toEqual([{ ...first, damaged }]);
  });

  it('keeps in mind whose backups are left, and when they go, apart from the tenants there are', async () => {
    const { store } = await fresh();
    const at = (day: number): string => `2026-01-${String(day).padStart(2, '0')}T00:00:00.000Z`;
    const grave = (tenantId: string, day: number, cell = 'c1') => ({
      tenantId,
      cell,
      deletedAt: at(1),
      nextCheckAt: at(day),
    });
    await store.create(tenantRecord('acme', { cell: 'c1' }));
    for (const each of [grave('gone', 5), grave('later', 9), grave('acme', 5), grave('else', 5, 'c2')])
      await store.bury(each);
    const due = (now: string, limit = 10) => store.dueGraves({ cell: 'c1', now: new Date(now), limit });
    expect(await due(at(4))).toEqual([]);
    expect((await due(at(5))).sort()).toEqual(['acme', 'gone']);
    expect(await due(at(5), 1)).toHaveLength(1);
    expect(await store.getGrave('gone')).toEqual(grave('gone', 5));
    expect(await store.getGrave('nobody')).toBeUndefined();
    expect([await store.countInCell('c1'), await store.count()]).toEqual([1, 1]);
    expect((await store.get('acme'))?.tenantId).toBe('acme');
    await store.removeGrave('gone');
    await store.removeGrave('gone');
    expect(await due(at(9))).toEqual(expect.not.arrayContaining(['gone']));
  });

  it('never brings a removed tenant back by a late save', async () => {
    const { store } = await fresh();
    await store.create(tenantRecord('acme'));
    await expect(store.remove('acme', 7)).rejects.toThrow(ConflictError);
    await store.remove('acme', 1);
    await expect(store.save(tenantRecord('acme', { recordVersion: 2 }), 1)).rejects.toThrow(ConflictError);
    await expect(store.remove('acme', 1)).rejects.toThrow(ConflictError);
    expect(await store.get('acme')).toBeUndefined();
  });

  it('refuses a save that does not count recordVersion up by one', async () => {
    const { store } = await fresh();
    await store.create(tenantRecord('acme'));
    await expect(store.save(tenantRecord('acme', { recordVersion: 5 }), 1)).rejects.toThrow('recordVersion');
  });

  it('lists tenants by name, page by page, and counts them', async () => {
    const { store } = await fresh();
    for (const id of [...ids].reverse()) await store.create(tenantRecord(id));
    expect(await pages((page) => store.list(page), 2)).toEqual([['t01', 't02'], ['t03', 't04'], ['t05']]);
    expect(await pages((page) => store.list(page), 5)).toEqual([ids]);
    expect(await store.count()).toBe(5);
  });

  it('finds tenants of a shard when they are due, the longest overdue first', async () => {
    const { store } = await fresh();
    const shard = dueShard('t01');
    const same = Array.from({ length: 200 }, (_, n) => `t${n}`).filter((id) => dueShard(id) === shard);
    const [first, second, third] = same as [string, string, string];
    await store.create(tenantRecord(first, { nextCheckAt: '2026-11-22T10:00:02.000Z' }));
    await store.create(tenantRecord(second, { nextCheckAt: '2026-11-22T10:00:01Z' }));
    await store.create(tenantRecord(third, { nextCheckAt: '2026-11-22T10:00:09.000Z' }));
    const due = (at: string, over = {}) =>
      store.due({ cell: 'cell-1', shard, now: new Date(at), limit: 10, ...over });
    expect(await due('2026-11-22T10:00:05.000Z')).toEqual([second, first]);
    expect(await due('2026-11-22T10:00:01.000Z')).toEqual([second]);
    expect(await due('2026-11-22T10:00:05.000Z', { limit: 1 })).toEqual([second]);
    expect(await due('2026-11-22T10:00:05.000Z', { shard: (shard + 1) % 16 })).toEqual([]);
    expect(await due('2026-11-22T10:00:05.000Z', { cell: 'cell-2' })).toEqual([]);
    await store.save(tenantRecord(second, { recordVersion: 2, nextCheckAt: '2026-11-23T00:00:00.000Z' }), 1);
    await store.remove(first, 1);
    expect(await due('2026-11-22T10:00:05.000Z')).toEqual([]);
  });

  it('keeps operations apart by tenant, newest first, and overwrites one in place', async () => {
    const { store } = await fresh();
    for (const id of ['01A', '01B', '01C']) await store.putOperation(operation('acme', id));
    await store.putOperation(operation('acmee', '01D'));
    const done = operation('acme', '01B', { state: 'succeeded', endedAt: '2026-11-22T10:05:00.000Z' });
    await store.putOperation(done);
    expect(await store.getOperation('acme', '01B')).toEqual(done);
    expect(await store.getOperation('acme', '01D')).toBeUndefined();
    const found = await pages((page) => store.listOperations('acme', page), 2);
    expect(found.map((page) => page.map((one) => one.operationId))).toEqual([['01C', '01B'], ['01A']]);
  });

  it('never opens an operation again that has ended, whoever writes late', async () => {
    const { store } = await fresh();
    await store.putOperation(operation('acme', '01A'));
    const done = operation('acme', '01A', { state: 'succeeded', endedAt: '2026-11-22T10:05:00.000Z' });
    await store.putOperation(done);
    await store.putOperation(operation('acme', '01A', { message: 'another one is under way' }));
    expect(await store.getOperation('acme', '01A')).toEqual(done);
    const again = operation('acme', '01A', { state: 'failed', endedAt: '2026-11-22T10:06:00.000Z' });
    await store.putOperation(again);
    expect(await store.getOperation('acme', '01A')).toEqual(again);
  });

  it('reads the timeline newest first, page by page', async () => {
    const { store } = await fresh();
    for (const id of ['01A', '01B', '01C']) await store.appendEvent(timelineEvent('acme', id));
    await store.putOperation(operation('acme', '01D'));
    expect(await pages((page) => store.listEvents('acme', page), 2)).toEqual([
      [timelineEvent('acme', '01C'), timelineEvent('acme', '01B')],
      [timelineEvent('acme', '01A')],
    ]);
  });

  it.each(['garbage', '', 'W10', Buffer.from('["x","y"]').toString('base64url')])(
    'refuses the cursor %j with a message',
    async (cursor) => {
      const { store } = await fresh();
      await expect(store.list({ limit: 2, cursor })).rejects.toThrow(InvalidRequestError);
      await expect(store.listEvents('acme', { limit: 2, cursor })).rejects.toThrow(InvalidRequestError);
    },
  );

  it('keeps the newest fleet patch, and of two who change it at once only one', async () => {
    const { store } = await fresh();
    expect(await store.getRollout()).toBeUndefined();
    await store.saveRollout(rollout(1), 0);
    await expect(store.saveRollout(rollout(1), 0)).rejects.toThrow(ConflictError);
    await store.saveRollout(rollout(2), 1);
    await expect(store.saveRollout(rollout(2), 1)).rejects.toThrow(ConflictError);
    expect(await store.getRollout()).toEqual(rollout(2));
  });

  it('gives a cell 30 destructive steps a minute, and one for the same key again', async () => {
    const { store } = await fresh();
    const at = (seconds: number): Date => new Date(Date.parse('2026-11-22T10:00:00Z') + seconds * 1000);
    for (let n = 0; n < 30; n++) {
      expect(await store.takeDestructiveToken('cell-1', `t${n} remove`, at(n))).toBe(true);
    }
    expect(await store.takeDestructiveToken('cell-1', 't30 remove', at(31))).toBe(false);
    expect(await store.takeDestructiveToken('cell-1', 't29 remove', at(31))).toBe(true);
    expect(await store.takeDestructiveToken('cell-2', 't30 remove', at(31))).toBe(true);
    expect(await store.takeDestructiveToken('cell-1', 't30 remove', at(61))).toBe(true);
  });

  it('counts two who take tokens at the same instant', async () => {
    const { store } = await fresh();
    const now = new Date('2026-11-22T10:00:00Z');
    for (let n = 0; n < 28; n++) await store.takeDestructiveToken('cell-1', `t${n}`, now);
    const taken = await Promise.all(
      ['a', 'b', 'c', 'd'].map((key) => store.takeDestructiveToken('cell-1', key, now)),
    );
    expect(taken.filter(Boolean)).toHaveLength(2);
  });

  it('knows who is sick, since when, and how many tenants a cell has', async () => {
    const { store } = await fresh();
    for (const id of ids) await store.create(tenantRecord(id));
    await store.create(tenantRecord('elsewhere', { cell: 'cell-2' }));
    const since = new Date('2026-11-22T10:00:00Z');
    await store.noteSick('cell-1', 't01', since);
    await store.noteSick('cell-1', 't02', since);
    await store.noteSick('cell-2', 'elsewhere', since);
    await store.noteSick('cell-1', 't01', undefined);
    expect(await store.sickTenants('cell-1')).toEqual([{ tenantId: 't02', since: since.toISOString() }]);
    expect(await store.countInCell('cell-1')).toBe(5);
  });

  it('gives a cell no more tenants than it may have, however many come at once', async () => {
    const { store } = await fresh();
    const at = '2026-11-22T10:00:00.000Z';
    const come = Array.from({ length: 12 }, (_, n) => store.takePlace('c1', `t${n}x`, { members: 3, at }, 5));
    expect((await Promise.all(come)).filter(Boolean)).toHaveLength(5);
    expect(Object.keys(await store.places('c1'))).toHaveLength(5);
    expect(await store.takePlace('c2', 'other', { members: 1, at }, 5)).toBe(true);
    expect(await store.places('c2')).toEqual({ other: { members: 1, at } });
    expect(await store.places('c3')).toEqual({});
  });

  it('knows a tenant that has its place already: it takes no second one, and may grow in a full cell', async () => {
    const { store } = await fresh();
    const at = '2026-11-22T10:00:00.000Z';
    for (const id of ['aa', 'bb']) expect(await store.takePlace('c1', id, { members: 3, at }, 2)).toBe(true);
    expect(await store.takePlace('c1', 'bb', { members: 5, at }, 2)).toBe(true);
    expect(await store.places('c1')).toEqual({ aa: { members: 3, at }, bb: { members: 5, at } });
    expect(await store.takePlace('c1', 'cc', { members: 1, at }, 2)).toBe(false);
  });

  it('takes a place back once, and never one that was taken anew', async () => {
    const { store } = await fresh();
    const [then, now] = ['2026-11-22T10:00:00.000Z', '2026-11-22T11:00:00.000Z'];
    await store.leavePlace('c1', 'aa');
    await store.takePlace('c1', 'aa', { members: 3, at: now }, 1);
    await store.leavePlace('c1', 'aa', then);
    expect(Object.keys(await store.places('c1'))).toEqual(['aa']);
    await store.leavePlace('c1', 'aa', now);
    await store.leavePlace('c1', 'aa');
    expect(await store.places('c1')).toEqual({});
    expect(await store.takePlace('c1', 'bb', { members: 3, at: now }, 1)).toBe(true);
  });

  it('names the tenants of a cell', async () => {
    const { store } = await fresh();
    for (const id of ids) await store.create(tenantRecord(id, { cell: 'c1' }));
    await store.create(tenantRecord('elsewhere', { cell: 'c2' }));
    expect((await store.idsInCell('c1')).sort()).toEqual(ids);
    expect(await store.idsInCell('c3')).toEqual([]);
  });

  it('remembers an idempotent request for 24 hours', async () => {
    const { store, setNow } = await fresh();
    const record = { requestHash: 'abc', status: 202, body: '{"tenant":{}}' };
    setNow(new Date('2026-11-22T10:00:00Z'));
    await store.putIdempotent('acme', 'key-1', record);
    expect(await store.getIdempotent('acme', 'key-1')).toEqual(record);
    expect(await store.getIdempotent('acme', 'key-2')).toBeUndefined();
    expect(await store.getIdempotent('other', 'key-1')).toBeUndefined();
    setNow(new Date('2026-11-23T09:59:00Z'));
    expect(await store.getIdempotent('acme', 'key-1')).toEqual(record);
    setNow(new Date('2026-11-23T10:00:01Z'));
    expect(await store.getIdempotent('acme', 'key-1')).toBeUndefined();
  });
}

async function pages<T>(
  list: (page: { limit: number; cursor?: string }) => Promise<Page<T>>,
  limit: number,
): Promise<T[][]> {
  const all: T[][] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ limit, cursor });
    all.push(page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}
