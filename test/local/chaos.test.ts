import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChaosAction } from '../../local/chaos/actions.ts';
import { type Chaos, createChaos } from '../../local/chaos/chaos.ts';
import { corruptDb, corruptWal } from '../../local/chaos/corrupt.ts';
import { Faults } from '../../local/faults.ts';
import {
  type Harness,
  isAlive,
  removeFolder,
  runInput,
  startHarness,
  temporaryFolder,
  until,
} from './services/ecs/harness.ts';

const stateOf = (pid: number): string => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2)[0]!;
};

describe('on members', () => {
  let harness: Harness;
  let chaos: Chaos;
  let faults: Faults;
  beforeEach(async () => {
    harness = await startHarness();
    faults = new Faults();
    chaos = createChaos({
      ecs: harness.ecs.chaos,
      faults,
      buckets: new Map(),
      emit: (event) => harness.events.push(event),
      account: { accountId: '1', region: 'eu-west-1' },
      zones: () => ['eu-west-1a', 'eu-west-1b'],
      namesOf: (type) => (type === 'AWS::Events::Rule' ? ['EveryMinute', 'Daily'] : ['Scale', 'Sweep']),
    });
  });
  afterEach(async () => {
    await chaos.close();
    await harness.close();
    removeFolder(harness.stateDir);
  });

  /** A member whose nanny has an `etcd` under it. */
  async function launch(member: string): Promise<{ nanny: number; etcd: number; taskArn: string }> {
    const known = harness.starts().length;
    const tags = [{ key: 'etcd-nanny:member', value: member }];
    const { tasks } = await harness.call('RunTask', runInput('etcd', { count: 1, tags }));
    const starts = await until(harness.starts, (all) => all.length > known);
    const { pid, child } = starts.at(-1)!;
    return { nanny: pid, etcd: child!, taskArn: tasks[0].taskArn };
  }
  const act = (action: ChaosAction) => chaos.act(action);
  const hurts = () => chaos.hurts().map(({ what, target }) => `${what} ${target}`);

  test('kill-member ends etcd and leaves its nanny alone', async () => {
    const { etcd, nanny } = await launch('m00000001');
    expect(await act({ do: 'kill-member', member: 'm00000001' })).toContain(`process ${etcd}`);
    await until(
      () => isAlive(etcd),
      (alive) => !alive,
    );
    expect(isAlive(nanny)).toBe(true);
    await expect(act({ do: 'kill-member', member: 'm00000001' })).rejects.toThrow(
      /No etcd of m00000001 runs/,
    );
  });

  test('a member that is not there is told with those that are', async () => {
    await launch('m00000001');
    await expect(act({ do: 'cut', member: 'mnobody00' })).rejects.toThrow(/There are: m00000001/);
    await expect(act({ do: 'hold-zone', zone: 'mars' })).rejects.toThrow(/There are: eu-west-1a, eu-west-1b/);
  });

  test('cut freezes all of a task, and heal lets it go on', async () => {
    const { etcd, nanny } = await launch('m00000001');
    expect(await act({ do: 'cut', member: 'm00000001' })).toMatch(/SIGSTOP/);
    for (const pid of [etcd, nanny])
      await until(
        () => stateOf(pid),
        (state) => state === 'T',
      );
    expect(hurts()).toEqual(['cut m00000001']);
    expect(await act({ do: 'heal', member: 'm00000001' })).toBe('Healed: cut m00000001.');
    for (const pid of [etcd, nanny])
      await until(
        () => stateOf(pid),
        (state) => state !== 'T',
      );
    expect(hurts()).toEqual([]);
  });

  test('a task that is cut off still ends when ECS stops it', async () => {
    const { taskArn, nanny } = await launch('m00000001');
    await act({ do: 'cut', member: 'm00000001' });
    await harness.call('StopTask', { task: taskArn });
    await until(
      () => isAlive(nanny),
      (alive) => !alive,
    );
    await until(hurts, (all) => all.length === 0);
  });

  test('a zone that is cut takes its members and its launches along, and gives them back', async () => {
    const { nanny } = await launch('m00000001');
    await act({ do: 'cut-zone', zone: 'eu-west-1a' });
    await until(
      () => stateOf(nanny),
      (state) => state === 'T',
    );
    const refused = await harness.call('RunTask', runInput('', { count: 1 }));
    expect(refused.failures[0].reason).toMatch(/^Capacity is unavailable/);
    await act({ do: 'heal', zone: 'eu-west-1a' });
    await until(
      () => stateOf(nanny),
      (state) => state !== 'T',
    );
    expect((await harness.call('RunTask', runInput('', { count: 1 }))).failures).toEqual([]);
  });

  test('pause lets etcd alone stand still, slow lets it stand still now and then', async () => {
    const { etcd, nanny } = await launch('m00000001');
    await act({ do: 'pause', member: 'm00000001' });
    await until(
      () => stateOf(etcd),
      (state) => state === 'T',
    );
    expect(stateOf(nanny)).not.toBe('T');
    await act({ do: 'resume', member: 'm00000001' });
    await until(
      () => stateOf(etcd),
      (state) => state !== 'T',
    );
    expect(await act({ do: 'slow', member: 'm00000001', share: 0.5, periodMs: 60 })).toMatch(
      /30 of every 60 ms/,
    );
    for (const wanted of [true, false, true])
      await until(
        () => stateOf(etcd) === 'T',
        (now) => now === wanted,
      );
    await act({ do: 'heal' });
    await until(
      () => stateOf(etcd),
      (state) => state !== 'T',
    );
  });

  test('stop-task --hard leaves no time to hand over', async () => {
    const { taskArn, nanny, etcd } = await launch('m00000001');
    await act({ do: 'stop-task', member: 'm00000001', hard: true });
    for (const pid of [nanny, etcd])
      await until(
        () => isAlive(pid),
        (alive) => !alive,
      );
    const task = await until(
      () => harness.task(taskArn),
      ({ lastStatus }) => lastStatus === 'STOPPED',
    );
    expect(task).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'Stopped by nanny chaos' });
  });

  test('retire sends what AWS Health would', async () => {
    const { taskArn } = await launch('m00000001');
    await act({ do: 'retire', member: 'm00000001' });
    expect(harness.events.at(-1)).toMatchObject({
      source: 'aws.health',
      'detail-type': 'AWS Health Event',
      resources: [taskArn],
      detail: { service: 'ECS', eventTypeCode: 'AWS_ECS_TASK_PATCHING_RETIREMENT' },
    });
  });

  test('deny and throttle hurt calls until cleared', async () => {
    await act({ do: 'throttle', service: 'ecs', operation: 'RunTask', times: 2 });
    const call = { principal: 'p', service: 'ecs', operation: 'RunTask' };
    expect(faults.begin(call, new Date()).action).toEqual({ type: 'throttle' });
    await act({ do: 'clear' });
    expect(faults.begin(call, new Date()).action).toBeUndefined();
  });

  test('what is about one tenant is taken back alone', async () => {
    await act({ do: 'deny', service: 'ecs', tenant: 'acme' });
    await act({ do: 'deny', service: 's3', resource: 'c1/acme/' });
    await act({ do: 'deny', service: 's3', resource: 'c1/acmes/' });
    const launch = { principal: 'p', service: 'ecs', operation: 'RunTask' };
    const put = { principal: 'p', service: 's3', operation: 'PutObject' };
    const denied = (call: Parameters<Faults['begin']>[0]) => faults.begin(call, new Date()).action?.type;
    expect(denied({ ...launch, event: '{"tenantId":"acme"}' })).toBe('deny');
    expect(denied({ ...launch, event: '{"tenantId":"other"}' })).toBeUndefined();
    expect(await act({ do: 'clear', tenant: 'acme' })).toMatch(/^2 faults/);
    expect(denied({ ...launch, event: '{"tenantId":"acme"}' })).toBeUndefined();
    expect(denied({ ...put, resource: 'c1/acme/1' })).toBeUndefined();
    expect(denied({ ...put, resource: 'c1/acmes/1' })).toBe('deny');
  });

  test('rules and functions are turned off by a part of their name until they are healed', async () => {
    await act({ do: 'silence', rule: 'everyminute' });
    await act({ do: 'hold-messages', function: 'S' });
    expect([[...faults.silentRules], [...faults.heldFunctions]]).toEqual([
      ['EveryMinute'],
      ['Scale', 'Sweep'],
    ]);
    expect(hurts()).toEqual(['silence everyminute', 'hold-messages S']);
    await act({ do: 'heal', member: 'everyminute' });
    await act({ do: 'clear' });
    expect([faults.silentRules.size, faults.heldFunctions.size]).toEqual([0, 0]);
    await expect(act({ do: 'silence', rule: 'Hourly' })).rejects.toThrow(/There are: EveryMinute, Daily/);
  });

  test('what is no action is refused with what is wrong', async () => {
    await expect(act({ do: 'explode' } as never)).rejects.toThrow(/do/);
    await expect(act({ do: 'slow', member: 'm00000001', share: 2 })).rejects.toThrow(/share/);
  });
});

describe('on disks', () => {
  const folder = temporaryFolder();
  afterEach(() => removeFolder(path.join(folder, 'etcd')));
  const write = (file: string, content: Buffer): string => {
    const full = path.join(folder, 'etcd', 'member', file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  };
  /** A leaf page of one key and value, as bbolt writes it. */
  function leaf(key: Buffer, value: Buffer): Buffer {
    const page = Buffer.alloc(4096);
    page.writeUInt16LE(0x02, 8);
    page.writeUInt16LE(1, 10);
    for (const [offset, number] of [
      [4, 16],
      [8, key.length],
      [12, value.length],
    ] as const)
      page.writeUInt32LE(number, 16 + offset);
    Buffer.concat([key, value]).copy(page, 32);
    return page;
  }
  const revision = Buffer.from('000000000000000a5f0000000000000000', 'hex');

  test('a value of each page with values is another one, and nothing else', () => {
    const value = Buffer.from('0a05hello..............the value');
    const meta = Buffer.alloc(8192);
    const other = leaf(Buffer.from('consistent_index'), Buffer.alloc(30, 1));
    const file = write('snap/db', Buffer.concat([meta, leaf(revision, value), other]));
    const before = readFileSync(file);
    expect(corruptDb(folder)).toBe(1);
    const after = readFileSync(file);
    const different = [...after.keys()].filter((at) => after[at] !== before[at]);
    expect(different).toEqual([8192 + 32 + revision.length + value.length - 1]);
  });

  test('a bucket with little in it lies inside the page of its parent', () => {
    const value = Buffer.from('0a05hello..............the value');
    const inner = leaf(revision, value).subarray(0, 32 + revision.length + value.length);
    const root = leaf(Buffer.from('key'), Buffer.concat([Buffer.alloc(16), inner]));
    root.writeUInt32LE(0x01, 16);
    const file = write('snap/db', Buffer.concat([Buffer.alloc(8192), root]));
    const before = readFileSync(file);
    expect(corruptDb(folder)).toBe(1);
    const after = readFileSync(file);
    const different = [...after.keys()].filter((at) => after[at] !== before[at]);
    expect(different).toEqual([8192 + 32 + 3 + 16 + inner.length - 1]);
  });

  test('a database without values is refused', () => {
    write('snap/db', Buffer.alloc(16_384));
    expect(() => corruptDb(folder)).toThrow(/write one first/);
  });

  /** Length, padding in the top byte; the record: its type, ones; padding. */
  const frame = (type: number, bytes: number) => {
    const padding = (8 - (bytes % 8)) % 8;
    const head = Buffer.alloc(8);
    head.writeUInt16LE(bytes);
    head[7] = padding > 0 ? 0x80 | padding : 0;
    return Buffer.concat([head, Buffer.of(0x08, type), Buffer.alloc(bytes - 2, 1), Buffer.alloc(padding)]);
  };
  const [entry, state] = [2, 3];
  const newest = 'wal/0000000000000001-0000000000000020.wal';

  test('the newest WAL is hit at the end of an entry, never where etcd would take it for a write cut short', () => {
    write('wal/0000000000000000-0000000000000000.wal', frame(entry, 64));
    // 72 bytes, 24, one that goes on in the next sector, and one more.
    const frames = [frame(state, 64), frame(entry, 11), frame(entry, 600), frame(state, 64)];
    const file = write(newest, Buffer.concat([...frames, Buffer.alloc(4096)]));
    expect(corruptWal(folder)).toBe(path.basename(newest));
    expect(readFileSync(file).indexOf(0xfe)).toBe(72 + 8 + 10);
  });

  test('of a WAL that was begun a moment ago the one before is hit', () => {
    const before = 'wal/0000000000000000-0000000000000000.wal';
    const file = write(before, frame(entry, 64));
    write(newest, Buffer.concat([frame(state, 64), Buffer.alloc(4096)]));
    expect(corruptWal(folder)).toBe(path.basename(before));
    expect(readFileSync(file).indexOf(0xfe)).toBe(8 + 63);
  });

  test('a WAL without an entry is refused', () => {
    write(newest, frame(state, 64));
    expect(() => corruptWal(folder)).toThrow(/no entry in the WAL/);
  });
});
