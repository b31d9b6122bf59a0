import { beforeEach, describe, expect, test } from 'vitest';
import { slotAfter } from '../../../lambdas/core/backup/schedule.ts';
import { TransientError } from '../../../lambdas/core/errors.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import { ulidText } from '../../../lambdas/core/ulid.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

let world: World;
/** As the simulated worker makes it of a revision. */
const liveHash = (revision: number) => revision % 1_000;
const record = async () => (await world.store.get('acme'))!;
const catalogue = () => world.store.listBackups('acme');
const events = async () =>
  (await world.store.listEvents('acme', { limit: 200 })).items.map((event) => event.message);
const condition = async (type: string) =>
  (await record()).status.conditions.find((entry) => entry.type === type);
const change = async (mutate: (tenant: TenantRecord) => TenantRecord) =>
  updateTenant(world, await record(), mutate);
const memberTask = async (name: string) => world.ecs.alive('acme').find((task) => task.memberName === name)!;

beforeEach(async () => {
  world = new World();
  world.members.hashAt = liveHash;
  await world.createTenant('acme');
  await untilHealthy(world, 'acme');
  await world.settle(180);
});

/** As the API does it. */
async function backupNow(): Promise<string> {
  const operationId = world.ids.ulid();
  const since = world.clock.now().toISOString();
  await change((tenant) => ({
    ...tenant,
    operation: { operationId, kind: 'backup' },
    backups: { ...tenant.backups, wanted: { reason: 'on-demand', since, operationId } },
  }));
  await world.dispatcher.look('acme', 'backup');
  return operationId;
}

describe('full backups', () => {
  test('the first comes by itself within minutes, of a follower, and is told once', async () => {
    const [first, ...others] = await catalogue();
    expect(others).toEqual([]);
    expect(first).toMatchObject({ tenantId: 'acme', incarnation: 1, reason: 'scheduled' });
    expect(first!.key).toBe(`cell-1/acme/1/full/${first!.backupId}.snap`);
    const leader = Object.values((await record()).members).find(
      (member) => 'seen' in member && member.seen?.isLeader,
    );
    expect(first!.member).not.toBe(leader!.name);
    expect((await events()).filter((message) => message.startsWith('Backup '))).toHaveLength(1);
    expect(await condition('BackupFresh')).toMatchObject({ status: 'True' });
    expect(world.errors).toEqual([]);
  });

  test('later ones come in the hour of the tenant, and no more than that', async () => {
    const next = slotAfter(await record(), world.clock.now());
    await world.until(async () => (await catalogue()).length > 1, 3_700);
    const second = (await catalogue())[0]!;
    const lateMs = Date.parse(second.startedAt) - next.getTime();
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(125_000);
    await world.settle(3_000);
    expect(await catalogue()).toHaveLength(2);
    // The stream is one: a new full backup does not break it.
    expect((await record()).backups!.holder!.chain).toBe((await catalogue())[1]!.backupId);
  });

  test('one that is asked for while the first one is under way ends all the same, whenever that is', async () => {
    for (let afterMs = 0; afterMs <= 4_000; afterMs += 100) {
      world = new World();
      await world.createTenant('acme');
      await world.until(async () => (await record()).operation === undefined, 120);
      await world.settle(afterMs / 1_000);
      const begun = world.clock.now().getTime();
      await backupNow();
      await world.until(async () => (await record()).operation === undefined, 300);
      const tookMs = world.clock.now().getTime() - begun;
      expect(tookMs, `asked for after ${afterMs} ms`).toBeLessThan(15_000);
    }
  });

  test('a change of users brings another one within minutes, and only one: no change stream tells it', async () => {
    let authRevision = 1;
    world.members.alter = (status) => ({ ...status, authRevision });
    await backupNow();
    await world.settle(300);
    const [first, ...earlier] = await catalogue();
    authRevision = 7;
    const one = earlier.length + 2;
    expect(await world.until(async () => (await catalogue()).length === one, 240)).toBe(true);
    const [second] = await catalogue();
    expect(second).toMatchObject({ reason: 'users-changed' });
    expect(second!.backupId).not.toBe(first!.backupId);
    await world.settle(600);
    const since = (await catalogue()).filter(({ backupId }) => backupId > first!.backupId);
    expect(since.filter(({ reason }) => reason === 'users-changed')).toHaveLength(1);
  });

  test('one that is asked for is an operation that ends with it', async () => {
    const operationId = await backupNow();
    await world.until(async () => (await record()).operation === undefined, 60);
    const operation = (await world.store.getOperation('acme', operationId))!;
    expect(operation).toMatchObject({ kind: 'backup', state: 'succeeded' });
    const [newest] = await catalogue();
    expect(operation.message).toContain(newest!.backupId);
    expect(newest!.reason).toBe('on-demand');
    expect(operation.steps.map((step) => step.name)).toEqual(
      expect.arrayContaining(['begin-backup', 'follow-backup']),
    );
  });

  test('one that is under way is given up when its member dies, and another one is taken', async () => {
    world.members.snapshotPolls = 1_000;
    const operationId = await backupNow();
    await world.until(async () => (await record()).backups?.running !== undefined, 30);
    const { member } = (await record()).backups!.running!;
    world.ecs.end(await memberTask(member), 'Host EC2 terminated');
    await world.until(
      async () => ![undefined, member].includes((await record()).backups?.running?.member),
      300,
    );
    world.members.snapshotPolls = 1;
    await world.until(async () => (await record()).operation === undefined, 600);
    expect((await world.store.getOperation('acme', operationId))!.state).toBe('succeeded');
    expect((await catalogue())[0]!.member).not.toBe(member);
    expect((await events()).join('\n')).toContain('is given up');
  });

  test('hold no repair up: a member is replaced while a backup takes for ever', async () => {
    world.members.snapshotPolls = 1_000_000;
    await backupNow();
    await world.until(async () => (await record()).backups?.running !== undefined, 30);
    const running = (await record()).backups!.running!;
    const victim = Object.keys((await record()).members).find((name) => name !== running.member)!;
    const started = world.clock.now().getTime();
    world.ecs.end(await memberTask(victim), 'Host EC2 terminated');
    const healed = await world.until(async () => {
      const tenant = await record();
      return tenant.members[victim] === undefined && tenant.remediation === undefined;
    }, 300);
    expect(healed).toBe(true);
    expect(world.clock.now().getTime() - started).toBeLessThan(60_000);
    expect((await record()).backups!.running?.backupId).toBe(running.backupId);
  });
});

describe('the change stream', () => {
  const holder = async () => (await record()).backups!.holder!;

  test('has one holder, a follower, and goes on behind the first full backup', async () => {
    const { member, chain } = await holder();
    expect(
      [...world.members.shipping.orders].filter(([, order]) => order.ship).map(([name]) => name),
    ).toEqual([member]);
    expect(chain).toBe((await catalogue())[0]!.backupId);
  });

  test('is taken over at once when the holder dies, from what is surely in S3', async () => {
    const before = await holder();
    world.ecs.end(await memberTask(before.member), 'Host EC2 terminated');
    await world.until(async () => (await holder()).member !== before.member, 30);
    const after = await holder();
    expect(after).toMatchObject({ chain: before.chain });
    const order = world.members.shipping.orders.get(after.member)!;
    expect(order).toMatchObject({ ship: true, afterRevision: before.shippedRevision });
  });

  test('a holder that does not get on is relieved, and told to stop', async () => {
    const before = await holder();
    world.members.shipping.stuck.set(before.member, 'S3 answers 503');
    expect(await world.until(async () => (await holder()).member !== before.member, 400)).toBe(true);
    await world.until(() => world.members.shipping.orders.get(before.member)?.ship === false, 200);
    expect(world.members.shipping.orders.get(before.member)).toEqual({ ship: false });
  });

  test('that hangs is told with its reason as soon as it counts, and so is its end', async () => {
    const before = await holder();
    // Nobody gets on: the store is to blame.
    const problem = 'Changes cannot be stored: PutObject: 503 SlowDown';
    const struckAt = world.clock.now().getTime();
    for (const { memberName } of world.ecs.alive('acme'))
      world.members.shipping.stuck.set(memberName, problem);
    // As the nanny tells it; also while a backup that was asked for goes on and on.
    world.members.snapshotPolls = 1_000_000;
    await backupNow();
    await world.members.report(before.member);
    expect(await world.until(async () => (await condition('BackupFresh'))?.status === 'False', 60)).toBe(
      true,
    );
    expect(world.clock.now().getTime() - struckAt).toBeLessThan(45_000);
    expect(await condition('BackupFresh')).toMatchObject({ reason: 'StreamBehind' });
    expect((await condition('BackupFresh'))!.message).toContain(problem);
    expect((await holder()).upToDateAt).toBe(before.upToDateAt);
    expect((await events()).filter((line) => line.startsWith('BackupFresh is False'))).toHaveLength(1);
    world.members.snapshotPolls = 1;
    await world.settle(3_600);
    // Another member may get on; when none does, it is not tried each minute for an hour.
    const changes = (await events()).filter((line) => line.includes('does not get on'));
    expect(changes.length).toBeGreaterThan(2);
    expect(changes.length).toBeLessThan(8);
    world.members.shipping.stuck.clear();
    await world.members.report((await holder()).member);
    await world.until(async () => (await condition('BackupFresh'))?.status === 'True', 5);
    expect((await holder()).problem).toBeUndefined();
    expect((await events()).join('\n')).toContain('BackupFresh is True');
  });

  test('one that cannot be continued begins anew behind a new full backup', async () => {
    const before = await holder();
    world.members.shipping.broken.add(before.chain);
    expect(await world.until(async () => (await holder()).chain !== before.chain, 400)).toBe(true);
    const [newest] = await catalogue();
    expect(newest).toMatchObject({ reason: 'new-chain', backupId: (await holder()).chain });
  });
});

describe('drills', () => {
  const proofOf = async () => (await record()).backups?.proof;
  const drilled = () => world.until(async () => (await record()).backups?.drilledAt !== undefined, 1_500);

  test('the first comes within minutes, is compared with a live member and proves the backup', async () => {
    expect(await drilled()).toBe(true);
    const [backup] = await catalogue();
    expect(await proofOf()).toMatchObject({ backupId: backup!.backupId, keys: 3 });
    expect(backup!.proof).toMatchObject({ keys: 3, seconds: 2 });
    await world.settle(240);
    expect(await condition('BackupProven')).toMatchObject({ status: 'True' });
    expect((await record()).work).toBeUndefined();
    expect(world.ecs.alive('acme')).toHaveLength(3);
    expect(world.errors).toEqual([]);
  });

  test('another hash is told with both, pages, and proves nothing', async () => {
    world.members.hashAt = () => 4_711;
    await drilled();
    await world.settle(150);
    expect(await proofOf()).toBeUndefined();
    const told = await condition('BackupProven');
    expect(told).toMatchObject({ status: 'False', reason: 'ProofFailed' });
    expect(told!.message).toContain('4711');
    expect((await record()).status.phase).toBe('available');
  });

  test('an object that is damaged is marked, and another full backup is taken at once', async () => {
    const [backup] = await catalogue();
    world.members.bucket.failures.push({
      state: 'failed',
      code: 'damaged',
      problem: 'its sha256 is another',
      key: backup!.key,
    });
    await drilled();
    await world.until(async () => (await catalogue()).length > 1, 60);
    const [newest, old] = await catalogue();
    expect(newest!.reason).toBe('replacement');
    expect(old!.damaged).toMatchObject({ problem: 'its sha256 is another' });
    // Nobody waits half an hour for the proof of what replaces it.
    await world.until(async () => (await proofOf()) !== undefined, 60);
    expect((await proofOf())!.backupId).not.toBe(old!.backupId);
    expect((await record()).backups!.doubt).toBeUndefined();
  });

  describe('that are asked for', () => {
    /** As the API does it. */
    async function drillNow(): Promise<string> {
      const operationId = world.ids.ulid();
      await change((tenant) => ({ ...tenant, operation: { operationId, kind: 'drill' } }));
      await world.dispatcher.look('acme', 'backup');
      return operationId;
    }
    const ended = async (operationId: string) => {
      await world.until(async () => (await record()).operation === undefined, 120);
      return (await world.store.getOperation('acme', operationId))!;
    };
    const prefix = 'cell-1/acme/1/delta/';

    test('come at once, and the operation ends with what they found and without a worker', async () => {
      const operation = await ended(await drillNow());
      expect(operation).toMatchObject({ kind: 'drill', state: 'succeeded' });
      expect(operation.message).toContain('is proven');
      expect((await record()).work).toBeUndefined();
      expect((await proofOf())!.backupId).toBe((await catalogue())[0]!.backupId);
    });

    test('begin anew when one is under way already: it may have passed what was damaged since', async () => {
      await world.until(async () => (await record()).backups?.drill !== undefined, 1_500);
      const { worker } = (await record()).backups!.drill!;
      const operation = await ended(await drillNow());
      expect(operation.state).toBe('succeeded');
      expect(world.members.bucket.failures).toEqual([]);
      const workers = (await events()).filter((message) => /^Worker \w+ launched/.test(message));
      expect(workers).toHaveLength(2);
      expect(workers.some((message) => message.includes(worker))).toBe(true);
    });

    test('fail with a damaged segment, which is never used again; a new full backup is proven at once', async () => {
      const [before] = await catalogue();
      const key = world.members.bucket.segmentBelow(prefix);
      const problem = `${key} is not what was stored: it is no frame.`;
      world.members.bucket.failures.push({ state: 'failed', code: 'damaged', problem, key });
      const operation = await ended(await drillNow());
      expect(operation).toMatchObject({ state: 'failed', message: expect.stringContaining(key) });
      const marked = (await catalogue()).find(({ backupId }) => backupId === before!.backupId)!;
      expect(marked.damagedSegments).toMatchObject([{ key, problem }]);
      expect(marked.damaged).toBeUndefined();
      expect(await condition('BackupProven')).toMatchObject({ status: 'False', reason: 'ProofFailed' });
      expect((await condition('BackupProven'))!.message).toContain(problem);
      await world.until(async () => (await proofOf()) !== undefined, 120);
      const [newest] = await catalogue();
      expect(newest).toMatchObject({ reason: 'replacement' });
      expect((await proofOf())!.backupId).toBe(newest!.backupId);
      expect(await condition('BackupProven')).toMatchObject({ status: 'True' });
    });

    test('find a full backup that is gone by its name alone', async () => {
      const [gone] = await catalogue();
      world.members.bucket.objects.delete(gone!.key);
      const operation = await ended(await drillNow());
      expect(operation).toMatchObject({
        state: 'failed',
        message: expect.stringContaining('not in the bucket'),
      });
      await world.until(async () => (await proofOf()) !== undefined, 120);
      const [newest, old] = await catalogue();
      expect([newest!.reason, old!.damaged?.problem]).toEqual(['replacement', expect.any(String)]);
    });

    test('find that what was shipped is gone, also where no gap shows', async () => {
      const { holder } = (await record()).backups!;
      const shippedRevision = holder!.shippedRevision + 50;
      world.members.shipping.stuck.set(holder!.member, 'it sleeps');
      await change((tenant) => ({
        ...tenant,
        backups: { ...tenant.backups, holder: { ...holder!, shippedRevision } },
      }));
      const operation = await ended(await drillNow());
      expect(operation.state).toBe('failed');
      expect(operation.message).toMatch(new RegExp(`revisions? .*${shippedRevision}, which had been stored`));
    });
  });
});

test('what retention lets go of is deleted, and what can be restored stays so', async () => {
  await change((tenant) => ({
    ...tenant,
    spec: { ...tenant.spec, backup: { intervalMinutes: 5, pointInTimeHours: 1, drillHours: 168 } },
  }));
  await world.settle(13 * 3_600);
  const left = await catalogue();
  // An hour of every five minutes, then one an hour; what came after the last pruning besides.
  expect(left.length).toBeLessThan(12 + 12 + 80);
  expect(left.length).toBeGreaterThan(20);
  for (const { key } of left) expect(await world.members.bucket.exists(key)).toBe(true);
  const objects = await world.members.bucket.list('cell-1/acme/1/full/');
  expect(objects).toHaveLength(left.length);
});

test('what nothing is restored from any more goes after a day: prepared snapshots, and fulls without a manifest', async () => {
  const old = '01JZZZZZZZ0000000000000000';
  const fresh = () => ulidText(BigInt(world.clock.now().getTime()) << 80n);
  const gone = [`prepared/${old}.snap`, `full/${old}.snap`, `full/${old}-maaaaaaaa.snap`];
  const stays = [`prepared/${fresh()}.snap`, 'full/of-a-person.snap', `else/${old}.snap`];
  for (const name of [...gone, ...stays]) world.members.bucket.objects.set(`cell-1/acme/1/${name}`, 1);
  world.members.bucket.objects.set(`cell-1/other/1/prepared/${old}.snap`, 1);
  await world.until(async () => (await record()).backups?.prunedAt !== undefined, 7 * 3_600);
  const left = (await world.members.bucket.list('cell-1/')).map(({ key }) => key);
  for (const name of gone) expect(left).not.toContain(`cell-1/acme/1/${name}`);
  for (const name of stays) expect(left).toContain(`cell-1/acme/1/${name}`);
  expect(left).toContain(`cell-1/other/1/prepared/${old}.snap`);
  for (const { key } of await catalogue()) expect(left).toContain(key);
  expect((await events()).join('\n')).toContain('3 snapshots that nothing is restored from any more');
});

describe('backups of a deleted tenant', () => {
  /** Weeks of rounds each minute are long: what was noted of the deletion is moved back instead. */
  const later = async (days: number): Promise<void> => {
    const { deletedAt, nextCheckAt, ...grave } = (await world.store.getGrave('acme'))!;
    const back = (at: string): string => new Date(Date.parse(at) - days * 24 * 3_600_000).toISOString();
    await world.store.bury({ ...grave, deletedAt: back(deletedAt), nextCheckAt: back(nextCheckAt) });
    await world.settle(150);
  };
  const keys = async () => (await world.members.bucket.list('cell-1/acme/')).map(({ key }) => key);
  const deleted = async () => {
    await world.deleteTenant('acme', { finalBackup: true });
    await world.until(async () => (await world.store.get('acme')) === undefined, 600);
    expect(await world.store.get('acme')).toBeUndefined();
  };

  test('stay for five weeks, all of them; then everything goes, and nobody else’s', async () => {
    world.members.bucket.objects.set('cell-1/acme-2/1/full/01JZZZZZZZ0000000000000000.snap', 1);
    await deleted();
    const [left, manifests] = [await keys(), await catalogue()];
    expect(manifests.map(({ reason }) => reason)).toContain('before-delete');
    await later(34.9);
    expect([await keys(), await catalogue()]).toEqual([left, manifests]);
    await later(0.2);
    expect([await keys(), await catalogue()]).toEqual([[], []]);
    expect(await world.store.getGrave('acme')).toBeUndefined();
    expect(await world.members.bucket.list('cell-1/acme-2/')).toHaveLength(1);
    expect(world.errors).toEqual([]);
  });

  test('are the retention’s again when the tenant is made anew', async () => {
    await deleted();
    const [old] = await catalogue();
    await later(30);
    await world.createTenant('acme');
    await untilHealthy(world, 'acme');
    await later(5.1);
    expect((await catalogue()).map(({ backupId }) => backupId)).toContain(old!.backupId);
    expect(await keys()).toContain(old!.key);
    expect(await world.store.getGrave('acme')).toBeUndefined();
  });

  test('are deleted to the end by the next round when one was cut off', async () => {
    await deleted();
    const remove = world.members.bucket.remove.bind(world.members.bucket);
    let calls = 0;
    world.members.bucket.remove = async (some) => {
      calls += 1;
      if (calls === 1) {
        await remove(some.slice(0, 1));
        throw new TransientError('s3:DeleteObject: SlowDown');
      }
      await remove(some);
    };
    await later(35.1);
    expect([calls, await keys(), await catalogue()]).toEqual([2, [], []]);
  });
});
