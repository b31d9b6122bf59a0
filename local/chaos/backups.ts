import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { AwsError } from '../aws/service.ts';
import type { Bucket, StoredObject } from '../services/s3/bucket.ts';

type Buckets = ReadonlyMap<string, Bucket>;

/** Changes one bit in the middle of the newest object whose key has this in it; sums and sizes stay as they were. */
export function flipBackup(buckets: Buckets, part: string): string {
  const { bucket, object } = find(buckets, part);
  const { file, at } = bucket.locate(object, Math.floor(object.size / 2));
  const fd = openSync(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, at);
    writeSync(fd, Buffer.of(byte[0]! ^ 0x01), 0, 1, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return object.key;
}

/** Takes it away for good. */
export function loseBackup(buckets: Buckets, part: string): string {
  const { bucket, object } = find(buckets, part);
  for (const { versionId } of bucket.formerOf(object.key)) bucket.removeVersion(object.key, versionId);
  bucket.removeForGood(object.key);
  return object.key;
}

/** @throws AwsError that names the keys there are */
function find(buckets: Buckets, part: string): { bucket: Bucket; object: StoredObject } {
  const all = [...buckets.values()]
    .flatMap((bucket) => [...bucket.objects.values()].map((object) => ({ bucket, object })))
    .sort((a, b) => (a.object.modifiedAt > b.object.modifiedAt ? -1 : 1));
  const found = all.find(({ object }) => object.key.includes(part));
  if (found !== undefined && found.object.size > 0) return found;
  const keys = all.slice(0, 20).map(({ object }) => object.key);
  throw new AwsError(
    'NotFound',
    `No object has "${part}" in its key. The newest are: ${keys.join(', ') || 'none'}.`,
    404,
  );
}
