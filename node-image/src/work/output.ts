import { createHash } from 'node:crypto';
import type { EtcdClient } from '../etcd/client.ts';
import { sentence } from '../log.ts';
import type { ObjectName, S3Client } from '../s3/client.ts';
import { S3Error } from '../s3/errors.ts';
import { BoltRevision } from '../snapshot/bolt-revision.ts';
import { uploadSnapshot } from '../snapshot/upload.ts';
import { backOffMs, type Timing } from '../timing.ts';
import { WorkError } from './failure.ts';

export interface OutputOptions {
  readonly s3: S3Client;
  readonly client: EtcdClient;
  readonly name: ObjectName;
  /** What it must hold to be ours. */
  readonly revision: number;
}

const tries = 5;
const backOff = { firstMs: 1_000, maxMs: 30_000 };
const idleMs = 120_000;

/** Publishes the scratch etcd's database as one object, or finds that an earlier run of this work has. @throws WorkError */
export async function publish(
  { s3, client, name, revision }: OutputOptions,
  onProgress: (bytes: number, totalBytes: number | undefined) => void,
  { timing }: { timing: Timing },
  signal: AbortSignal,
): Promise<{ sha256: string; bytes: number }> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const { sha256, bytes } = await uploadSnapshot(s3, name, client.snapshot(idleMs), {
        onProgress,
        onUpload: async () => undefined,
        signal,
        now: timing.now,
      });
      return { sha256, bytes };
    } catch (error) {
      if (error instanceof S3Error && error.code === 'PreconditionFailed') {
        return await published(s3, name, revision);
      }
      const passing = error instanceof S3Error && !error.retryable ? false : attempt + 1 < tries;
      if (!passing || signal.aborted) {
        throw new WorkError('passing', `The result could not be stored: ${sentence(error)}`, {
          cause: error,
        });
      }
      await timing.sleep(backOffMs(attempt, timing, backOff), signal);
    }
  }
}

/** Its key is of this order alone: whoever was here before us did the same work. */
async function published(
  s3: S3Client,
  name: ObjectName,
  revision: number,
): Promise<{ sha256: string; bytes: number }> {
  const { body } = await s3.get(name);
  const hash = createHash('sha256');
  const reader = new BoltRevision();
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
    reader.update(chunk);
  }
  const found = reader.finish();
  if (found === revision) return { sha256: hash.digest('hex'), bytes };
  throw new WorkError(
    'unusable',
    `There is another object under ${name.key} already, at revision ${found}: order another key.`,
  );
}
