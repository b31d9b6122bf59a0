import { createReadStream, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { S3Client } from '../node-image/src/s3/client.ts';
import { realTiming } from '../node-image/src/timing.ts';
import { BackupCluster, fullKey } from '../test/node-image/src/support/backup-cluster.ts';
import { bucketName } from '../test/node-image/src/support/local-s3.ts';
import type { AloneContext } from './context.ts';
import { median, verdict } from './report.ts';

const databaseBytes = 1_000_000_000;
const valueBytes = [4, 8, 16, 32, 64].map((kib) => kib * 1024);
const writesPerSecond = 200;
/** The budgets: of the throughput by hand, and of the nanny's memory. */
const leastRatio = 0.9;
const mostGrowthBytes = 64 * 1024 * 1024;
/** By hand as the aws command copies: parts of 8 MiB, several at once. */
const copyPartBytes = 8 * 1024 * 1024;
const copiesAtOnce = 4;
const sampleMs = 20;

/**
 * A full backup of 1 GB by the nanny, against `etcdctl snapshot save` and a copy of the file to the same store, in turns
 * under 200 writes a second; then a restore by a worker. All on fixed addresses 127.75.0.x: one run at a time.
 */
export async function benchBackup({ version, runs, say }: AloneContext): Promise<string> {
  const scene = await BackupCluster.start(version);
  // Nothing of several gigabytes may stay behind.
  const interrupted = () => void scene.stop().finally(() => process.exit(1));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    await fill(scene, say);
    const member = 'maaaaaaa1';
    const load = startWrites(scene);
    const [product, hand, growth]: [number[], number[], number[]] = [[], [], []];
    const published: Awaited<ReturnType<BackupCluster['full']>>[] = [];
    for (let turn = 0; turn < runs; turn += 1) {
      const { bytes, ms } = await byHand(scene, turn);
      hand.push(bytes / ms);
      const memory = watchMemory(scene.cluster.nanny(member).pid);
      const startedAt = performance.now();
      const full = await scene.full(member, fullKey(`01BENCH${turn}`), 600_000);
      product.push(full.bytes / (performance.now() - startedAt));
      growth.push(await memory.growthBytes());
      // One of them is enough on the disk.
      for (const { key } of published.splice(0)) scene.s3.bucket.remove(key);
      published.push(full);
      say(
        `run ${turn + 1}: etcd-nanny ${perSecond(product.at(-1)!)}, by hand ${perSecond(hand.at(-1)!)}, memory +${mb(growth.at(-1)!)}`,
      );
    }
    const written = await load.stop();
    const { contentAt, ...source } = published.at(-1)!;
    const restoredAt = performance.now();
    const { end } = await scene.work({ source });
    if (end.state !== 'done') throw new Error(`The restore ended with ${JSON.stringify(end)}`);
    const restoreSeconds = (performance.now() - restoredAt) / 1_000;
    const ratio = median(product) / median(hand);
    const most = Math.max(...growth);
    return [
      `full backup of ${mb(source.bytes)} under ${Math.round(written)} writes/s, ${runs} runs each, median:`,
      `  etcd-nanny  ${perSecond(median(product))}`,
      `  by hand     ${perSecond(median(hand))} (etcdctl snapshot save, then the copy)`,
      `  ratio       ${ratio.toFixed(2)} x, at least ${leastRatio} x: ${verdict(-ratio, -leastRatio)}`,
      `  memory      +${mb(most)} of the nanny at most, budget +${mb(mostGrowthBytes)}: ${verdict(most, mostGrowthBytes)}`,
      `  restore     ${restoreSeconds.toFixed(1)} s from launch to hash: ${end.result.keys} keys, revision ${end.result.revision}`,
    ].join('\n');
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await scene.stop();
  }
}

const mb = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`;
const perSecond = (bytesPerMs: number): string => `${Math.round(bytesPerMs / 1_000)} MB/s`;

async function fill(scene: BackupCluster, say: (line: string) => void): Promise<void> {
  let bytes = 0;
  for (let n = 0; bytes < databaseBytes; n += 1) {
    // About 1 MB in one request.
    const success = Array.from({ length: 40 }, (_, m) => {
      const value = Buffer.alloc(valueBytes[(n + m) % valueBytes.length]!, `${n}-${m} `);
      bytes += value.length;
      return { put: { key: Buffer.from(`fill/${n}/${m}`), value, lease: '0', prevKv: false } };
    });
    await scene.client.call('txn', { success } as never, 60_000);
    if (n % 200 === 199) say(`filled ${mb(bytes)}`);
  }
}

function startWrites(scene: BackupCluster) {
  const stopping = new AbortController();
  const startedAt = performance.now();
  let written = 0;
  const value = Buffer.alloc(1024, 'x');
  const writer = async () => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      const dueMs = startedAt + (written * 1_000) / writesPerSecond - performance.now();
      if (dueMs > 0) await delay(dueMs);
      written += 1;
      await scene.put(`load/${n % 1_000}`, value).catch(() => undefined);
    }
  };
  const writers = Array.from({ length: 4 }, writer);
  return {
    /** Answers the writes per second. */
    async stop(): Promise<number> {
      stopping.abort();
      const perSecondWritten = (written * 1_000) / (performance.now() - startedAt);
      await Promise.all(writers);
      return perSecondWritten;
    },
  };
}

/** How much more the process holds at most than at the beginning. */
function watchMemory(pid: number) {
  const residentBytes = async () =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
  let first: number | undefined;
  let most = 0;
  let running = true;
  const sampling = (async () => {
    while (running) {
      const now = await residentBytes();
      first ??= now;
      most = Math.max(most, now);
      await delay(sampleMs);
    }
  })();
  return {
    async growthBytes(): Promise<number> {
      running = false;
      await sampling;
      return most - first!;
    },
  };
}

async function byHand(scene: BackupCluster, turn: number) {
  const file = join(scene.cluster.dir, `by-hand-${turn}.snap`);
  const key = fullKey(`01HAND${turn}`);
  const startedAt = performance.now();
  await scene.etcdctl('--command-timeout=600s', 'snapshot', 'save', file);
  const bytes = await copy(scene, file, key);
  const ms = performance.now() - startedAt;
  rmSync(file);
  scene.s3.bucket.remove(key);
  return { bytes, ms };
}

async function copy(scene: BackupCluster, file: string, key: string): Promise<number> {
  const s3 = new S3Client({
    region: 'eu-central-1',
    endpoint: scene.s3.url,
    credentials: async () => ({
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'secret',
      sessionToken: 'session',
    }),
    timing: realTiming,
  });
  const name = { bucket: bucketName, key };
  const uploadId = await s3.createUpload(name, {});
  const etags: Promise<string>[] = [];
  let bytes = 0;
  for await (const part of createReadStream(file, { highWaterMark: copyPartBytes })) {
    bytes += part.length;
    if (etags.length >= copiesAtOnce) await etags[etags.length - copiesAtOnce];
    etags.push(s3.uploadPart(name, uploadId, etags.length + 1, part as Buffer));
  }
  await s3.completeUpload(name, uploadId, await Promise.all(etags));
  s3.close();
  return bytes;
}
