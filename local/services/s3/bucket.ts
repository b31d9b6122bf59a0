import { randomUUID } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { AwsError, type RawRequest } from '../../aws/service.ts';
import { type Checksum, type ReceivedBody, receiveBody } from './body.ts';
import { expired, type FormerVersion, isMarker, newVersionId } from './versions.ts';

/** Content of an object, in files: one, or one for each part of a multipart upload. */
export interface Segment {
  readonly file: string;
  readonly size: number;
}

export interface StoredObject {
  readonly key: string;
  readonly id: string;
  readonly etag: string;
  readonly size: number;
  readonly modifiedAt: string;
  readonly versionId?: string;
  /** Object Lock. */
  readonly retainUntil?: string;
  readonly checksum?: Checksum;
  /** content-type, x-amz-meta-* and the like, as they were sent. */
  readonly headers: Readonly<Record<string, string>>;
  readonly segments: readonly Segment[];
}

export interface Part extends Segment {
  readonly number: number;
  readonly etag: string;
  readonly checksum?: Checksum;
  readonly modifiedAt: string;
}

export interface Upload {
  readonly id: string;
  readonly key: string;
  readonly startedAt: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Record<number, Part>;
}

export interface BucketSettings {
  readonly name: string;
  readonly versioned: boolean;
  /** ARN of the key when the bucket encrypts with KMS. */
  readonly kmsKeyArn?: string;
  /** Default retention of Object Lock. */
  readonly lockDays?: number;
  /** Lifecycle: former versions, and uploads that nobody completed, go after so many days. */
  readonly formerDays?: number;
  readonly staleUploadDays?: number;
}

type Folder = 'objects' | 'uploads' | 'versions';
const dayMs = 86_400_000;

/**
 * One bucket on disk: `objects/*.json`, `versions/*.json` (former ones) and `uploads/*.json` describe, `data/*` holds bytes. An object exists from the
 * moment its description is renamed into place; data that no description names is removed at the next start.
 */
export class Bucket {
  settings: BucketSettings;
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  /** By version id; of a bucket with versions only. */
  readonly former = new Map<string, FormerVersion>();
  readonly #directory: string;

  constructor(settings: BucketSettings, directory: string) {
    this.settings = settings;
    this.#directory = directory;
    for (const folder of ['objects', 'uploads', 'versions', 'data']) {
      mkdirSync(path.join(directory, folder), { recursive: true, mode: 0o700 });
    }
    for (const version of this.#load<FormerVersion>('versions')) this.former.set(version.versionId, version);
    const newestLast = this.#load<StoredObject>('objects').sort((a, b) =>
      a.modifiedAt < b.modifiedAt ? -1 : 1,
    );
    for (const object of newestLast) {
      // Killed before the one that was overwritten could be put aside.
      this.#putAside(this.objects.get(object.key), object.modifiedAt);
      this.objects.set(object.key, object);
    }
    for (const upload of this.#load<Upload>('uploads')) this.uploads.set(upload.id, upload);
    this.#removeOrphans();
  }

  /** Streams a body into a new data file; nothing refers to it yet. */
  async receive(request: RawRequest): Promise<Segment & ReceivedBody> {
    const file = randomUUID();
    const target = await open(this.#data(file), 'wx', 0o600);
    try {
      const received = await receiveBody(request, async (piece) => {
        for (let from = 0; from < piece.length; ) from += (await target.write(piece, from)).bytesWritten;
      });
      return { file, ...received };
    } catch (error) {
      rmSync(this.#data(file), { force: true });
      throw error;
    } finally {
      await target.close();
    }
  }

  /**
   * Publishes an object if the request's conditions hold at this very moment; what it replaces is gone, or a former
   * version.
   * @throws AwsError PreconditionFailed, NoSuchKey; the segments stay with the caller then
   */
  publish(
    request: RawRequest,
    content: Pick<StoredObject, 'key' | 'etag' | 'size' | 'checksum' | 'headers' | 'segments'>,
  ): StoredObject {
    const before = this.objects.get(content.key);
    checkWriteConditions(request, before);
    const { versioned, lockDays } = this.settings;
    const now = new Date();
    const object: StoredObject = {
      ...content,
      // The name of the description: without versions the one before is overwritten.
      id: versioned ? randomUUID() : (before?.id ?? randomUUID()),
      modifiedAt: now.toISOString(),
      ...(versioned ? { versionId: newVersionId() } : {}),
      ...(lockDays === undefined
        ? {}
        : { retainUntil: new Date(now.getTime() + lockDays * dayMs).toISOString() }),
    };
    this.#save('objects', object.id, object);
    this.objects.set(object.key, object);
    if (versioned) this.#putAside(before, object.modifiedAt);
    else this.discard(before?.segments ?? []);
    return object;
  }

  /** With versions it is only hidden, by a marker whose version id is answered. */
  remove(key: string): string | undefined {
    const object = this.objects.get(key);
    this.objects.delete(key);
    if (!this.settings.versioned) {
      if (object) this.#forget(object);
      return undefined;
    }
    const modifiedAt = new Date().toISOString();
    const marker: FormerVersion = { marker: true, key, versionId: newVersionId(), modifiedAt };
    this.#saveFormer(marker);
    this.#putAside(object, modifiedAt);
    return marker.versionId;
  }

  /** For good. A marker taken away shows again what it hid. */
  removeVersion(key: string, versionId: string): void {
    const object = this.objects.get(key);
    if (object?.versionId === versionId) {
      this.removeForGood(key);
    } else this.#forgetFormer(this.former.get(versionId));
    const [newest] = this.formerOf(key);
    if (this.objects.has(key) || newest === undefined || isMarker(newest)) return;
    const { formerSince: _, ...shown } = newest;
    this.#save('objects', shown.id, shown);
    this.objects.set(key, shown);
    this.former.delete(newest.versionId);
    rmSync(this.#description('versions', newest.versionId), { force: true });
  }

  /** No marker, no former version: nothing is left of it. */
  removeForGood(key: string): void {
    const object = this.objects.get(key);
    this.objects.delete(key);
    if (object) this.#forget(object);
  }

  /** Newest first. */
  formerOf(key: string): FormerVersion[] {
    return [...this.former.values()]
      .filter((version) => version.key === key)
      .sort((a, b) => (a.modifiedAt > b.modifiedAt ? -1 : 1));
  }

  /** What the lifecycle rules of the bucket do once a day. */
  expire(now = Date.now()): void {
    const { formerDays, staleUploadDays } = this.settings;
    if (formerDays !== undefined) {
      for (const version of expired(this.former, this.objects, formerDays, now)) this.#forgetFormer(version);
    }
    for (const upload of staleUploadDays === undefined ? [] : [...this.uploads.values()]) {
      if (Date.parse(upload.startedAt) + staleUploadDays! * dayMs > now) continue;
      this.forgetUpload(upload.id);
      this.discard(Object.values(upload.parts));
    }
  }

  /** File of the byte at `offset` of an object, and where in it: for chaos. */
  locate(object: StoredObject, offset: number): { file: string; at: number } {
    let at = offset;
    for (const { file, size } of object.segments) {
      if (at < size) return { file: this.#data(file), at };
      at -= size;
    }
    throw new RangeError(`${object.key} has no byte ${offset}`);
  }

  #putAside(object: StoredObject | undefined, formerSince: string): void {
    if (object === undefined) return;
    // One of before the bucket had versions.
    const versionId = object.versionId ?? newVersionId();
    this.#saveFormer({ ...object, versionId, formerSince });
    rmSync(this.#description('objects', object.id), { force: true });
  }

  #saveFormer(version: FormerVersion): void {
    this.former.set(version.versionId, version);
    this.#save('versions', version.versionId, version);
  }

  #forget(object: StoredObject): void {
    rmSync(this.#description('objects', object.id), { force: true });
    this.discard(object.segments);
  }

  #forgetFormer(version: FormerVersion | undefined): void {
    if (version === undefined) return;
    this.former.delete(version.versionId);
    rmSync(this.#description('versions', version.versionId), { force: true });
    if (!isMarker(version)) this.discard(version.segments);
  }

  saveUpload(upload: Upload): void {
    this.uploads.set(upload.id, upload);
    this.#save('uploads', upload.id, upload);
  }

  forgetUpload(id: string): void {
    this.uploads.delete(id);
    rmSync(this.#description('uploads', id), { force: true });
  }

  discard(segments: readonly Segment[]): void {
    for (const { file } of segments) rmSync(this.#data(file), { force: true });
  }

  /** Bytes `from` to `to`, both included. */
  read(object: StoredObject, from: number, to: number): Readable {
    const files = (file: string) => this.#data(file);
    async function* pieces() {
      let offset = 0;
      for (const { file, size } of object.segments) {
        const start = Math.max(from - offset, 0);
        const end = Math.min(to - offset, size - 1);
        if (start <= end) yield* createReadStream(files(file), { start, end, highWaterMark: 256 * 1024 });
        offset += size;
      }
    }
    return Readable.from(pieces(), { objectMode: false });
  }

  #save(folder: Folder, id: string, content: unknown): void {
    const file = this.#description(folder, id);
    writeFileSync(`${file}.tmp`, JSON.stringify(content), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  #load<T>(folder: Folder): T[] {
    return readdirSync(path.join(this.#directory, folder))
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(path.join(this.#directory, folder, name), 'utf8')) as T);
  }

  #removeOrphans(): void {
    const named = new Set<string>();
    for (const { segments } of this.objects.values()) for (const { file } of segments) named.add(file);
    for (const version of this.former.values())
      if (!isMarker(version)) for (const { file } of version.segments) named.add(file);
    for (const { id, parts } of this.uploads.values()) {
      // Killed between the two halves of a completion: its files belong to the object by now.
      if (Object.values(parts).some(({ file }) => named.has(file))) this.forgetUpload(id);
    }
    for (const { parts } of this.uploads.values())
      for (const { file } of Object.values(parts)) named.add(file);
    for (const file of readdirSync(path.join(this.#directory, 'data'))) {
      if (!named.has(file)) this.discard([{ file, size: 0 }]);
    }
  }

  #data(file: string): string {
    return path.join(this.#directory, 'data', file);
  }

  #description(folder: Folder, id: string): string {
    return path.join(this.#directory, folder, `${id}.json`);
  }
}

function checkWriteConditions(request: RawRequest, existing: StoredObject | undefined): void {
  const { 'if-none-match': noneMatch, 'if-match': match } = request.headers;
  if (noneMatch !== undefined && noneMatch !== '*') {
    throw new AwsError('NotImplemented', 'If-None-Match of a write can only be *.', 501);
  }
  if (match !== undefined && existing === undefined) {
    throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404);
  }
  if (
    (noneMatch === '*' && existing !== undefined) ||
    (match !== undefined && match.replaceAll('"', '') !== existing?.etag)
  ) {
    throw new AwsError(
      'PreconditionFailed',
      'At least one of the pre-conditions you specified did not hold',
      412,
    );
  }
}
