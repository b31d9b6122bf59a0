import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decideBoot } from '../../../node-image/src/boot.ts';
import { MemberDisk } from '../../../node-image/src/member-disk.ts';
import { RestoreLoop } from '../../../node-image/src/restore-loop.ts';
import { S3Error } from '../../../node-image/src/s3/errors.ts';
import { realTiming } from '../../../node-image/src/timing.ts';

const who = { tenantId: 'acme', memberName: 'maaaaaaa1' };
const content = Buffer.from('a snapshot');
const order = {
  bucket: 'b',
  key: 'c1/acme/1/full/7.snap',
  sha256: createHash('sha256').update(content).digest('hex'),
  bumpRevision: 1_000_000_000,
  initialCluster: 'maaaaaaa1=https://10.0.0.1:2380',
  initialAdvertisePeerUrl: 'https://10.0.0.1:2380',
  token: 'fresh',
};
let dir: string;
let disk: MemberDisk;
let program: string;
let downloads: number;

/** Writes its arguments and a WAL into the data directory, as etcdutl would. */
const etcdutl = `#!/bin/sh
for argument; do case "$argument" in --data-dir=*) data="\${argument#--data-dir=}";; esac; done
cmp -s "$3" "$(dirname "$0")/expected" || { echo "snapshot file has been altered"; exit 1; }
mkdir -p "$data/member/wal" && : > "$data/member/wal/0.wal" && echo "$@" > "$data/arguments"
`;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nanny-restore-'));
  program = join(dir, 'etcdutl');
  writeFileSync(program, etcdutl);
  writeFileSync(join(dir, 'expected'), content);
  chmodSync(program, 0o755);
  downloads = 0;
  disk = await MemberDisk.open(dir, who);
  await disk.save(() => ({
    schemaVersion: 1,
    ...who,
    incarnation: 2,
    mode: 'restore',
    restore: order,
    etcdVersion: '3.6.16',
    etcdArguments: [],
    fence: 0,
  }));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function loop(stored: () => Buffer = () => content, change: { freeBytes?: number } = {}) {
  const get = async () => {
    downloads += 1;
    const body = stored();
    return { size: body.length, body: Readable.from([body]) as never };
  };
  const logged: string[] = [];
  const say = (message: string) => void logged.push(message);
  const states: string[] = [];
  if (change.freeBytes !== undefined) {
    const { freeBytes } = change;
    Object.defineProperty(disk, 'space', { value: async () => ({ totalBytes: 1e12, freeBytes }) });
  }
  const restoring: RestoreLoop = new RestoreLoop({
    disk,
    s3: { get },
    etcdutl: program,
    environment: { PATH: process.env.PATH },
    memberName: who.memberName,
    onChange: () => states.push(restoring.view.state),
    log: { info: say, warn: say, error: say },
    timing: { ...realTiming, sleep: (ms, signal) => realTiming.sleep(ms / 1_000, signal) },
  });
  return { restoring, logged, states };
}
const run = (restoring: RestoreLoop) => restoring.run(new AbortController().signal);

test('the data appears whole, bumped and marked, and from then on it is resumed', async () => {
  expect(await run(loop().restoring)).toBe(true);
  expect(readFileSync(join(disk.etcdDirectory, 'arguments'), 'utf8').trim().split(' ').slice(3)).toEqual([
    '--name=maaaaaaa1',
    `--initial-cluster=${order.initialCluster}`,
    '--initial-cluster-token=fresh',
    `--initial-advertise-peer-urls=${order.initialAdvertisePeerUrl}`,
    `--data-dir=${join(disk.restoreDirectory, 'etcd')}`,
    '--bump-revision=1000000000',
    '--mark-compacted',
  ]);
  expect(existsSync(disk.restoreDirectory)).toBe(false);
  const { saved } = await MemberDisk.open(dir, who);
  expect([saved?.mode, saved?.restore]).toEqual(['resume', undefined]);
});

test('without a bump nothing is marked compacted: etcd wants both or none', async () => {
  await disk.update({ restore: { ...order, bumpRevision: 0 } });
  expect(await run(loop().restoring)).toBe(true);
  expect(readFileSync(join(disk.etcdDirectory, 'arguments'), 'utf8')).not.toMatch(/bump|compacted/);
});

test('killed between the data and nanny.json, it is not made again over itself', async () => {
  mkdirSync(join(disk.etcdDirectory, 'member/wal'), { recursive: true });
  writeFileSync(join(disk.etcdDirectory, 'member/wal/0.wal'), 'votes');
  expect(await run(loop().restoring)).toBe(true);
  expect(downloads).toBe(0);
  expect(readFileSync(join(disk.etcdDirectory, 'member/wal/0.wal'), 'utf8')).toBe('votes');
  expect(disk.saved?.mode).toBe('resume');
});

test('killed in the middle, it begins anew', async () => {
  mkdirSync(join(disk.restoreDirectory, 'etcd/member/wal'), { recursive: true });
  writeFileSync(join(disk.restoreDirectory, 'snapshot.db'), 'half');
  expect(disk.hasData()).toBe(false);
  expect(await run(loop().restoring)).toBe(true);
  expect(disk.hasData()).toBe(true);
});

test.each([
  ['another content', Buffer.from('A snapshot'), {}, 'SHA-256'],
  [
    'what etcd does not accept',
    Buffer.from('A snapshot'),
    { sha256: true },
    'snapshot file has been altered',
  ],
])(
  'a snapshot with %s ends the member after three tries, and nothing is started',
  async (_, stored, own, text) => {
    const sha256 = createHash('sha256').update(stored).digest('hex');
    if ('sha256' in own) await disk.update({ restore: { ...order, sha256 } });
    const { restoring, states } = loop(() => stored);
    expect(await run(restoring)).toBe(false);
    expect(downloads).toBe(3);
    expect(disk.saved?.ended).toMatchObject({ state: 'data-lost', reason: expect.stringContaining(text) });
    expect(disk.hasData()).toBe(false);
    expect(states[0]).toBe('backing-off');
  },
);

test('waits for a store that is down, and tells why meanwhile', async () => {
  let failures = 0;
  const { restoring } = loop(() => {
    failures += 1;
    if (failures <= 7) throw new S3Error('unreachable', 'S3 could not be reached', { retryable: true });
    return content;
  });
  expect(restoring.view).toEqual({ state: 'starting', restarts: 0 });
  expect(await run(restoring)).toBe(true);
  expect(failures).toBe(8);
  expect(restoring.view.lastExit?.reason).toContain('S3 could not be reached');
});

test('says what a disk lacks instead of filling it', async () => {
  const stopping = new AbortController();
  const { restoring, logged } = loop(() => content, { freeBytes: 1_000 });
  const ended = restoring.run(stopping.signal);
  while (!logged.some((line) => line.includes('give the tenant more storage'))) await realTiming.sleep(10);
  stopping.abort();
  expect(await ended).toBe(false);
  expect(existsSync(join(disk.restoreDirectory, 'snapshot.db'))).toBe(false);
});

test('boot: restored on an empty disk only, and never without an order', () => {
  const answer = { mode: 'restore', incarnation: 2, restore: order } as const;
  const empty = { hasData: false, saved: undefined };
  expect(decideBoot(answer, empty)).toEqual({ start: 'restore' });
  expect(decideBoot({ mode: 'restore', incarnation: 2 }, empty)).toHaveProperty('refuse');
  expect(decideBoot(answer, { hasData: true, saved: undefined })).toHaveProperty('refuse');
  const saved = { ...disk.saved!, mode: 'resume' } as const;
  expect(decideBoot(answer, { hasData: true, saved })).toEqual({ start: 'resume' });
  expect(decideBoot(answer, { hasData: true, saved: { ...saved, incarnation: 1 } })).toHaveProperty('refuse');
  expect(decideBoot(answer, { hasData: false, saved })).toHaveProperty('refuse');
  expect(decideBoot(answer, { hasData: false, saved: disk.saved })).toEqual({ start: 'restore' });
});
