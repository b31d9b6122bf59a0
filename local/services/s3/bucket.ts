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
}

/**
 * One bucket on disk: `objects/*.json` and `uploads/*.json` describe, `data/*` holds bytes. An object exists from the
 * moment its description is renamed into place; data that no description names is removed at the next start.
 */
export class Bucket {
  settings: BucketSettings;
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  readonly #directory: string;

  constructor(settings: BucketSettings, directory: string) {
    this.settings = settings;
    this.#directory = directory;
    for (const folder of ['objects', 'uploads', 'data']) {
      mkdirSync(path.join(directory, folder), { recursive: true, mode: 0o700 });
    }
    for (const object of this.#load<StoredObject>('objects')) this.objects.set(object.key, object);
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
   * Publishes an object if the request's conditions hold at this very moment; what it replaces is gone.
   * @throws AwsError PreconditionFailed, NoSuchKey; the segments stay with the caller then
   */
  publish(
    request: RawRequest,
    content: Pick<StoredObject, 'key' | 'etag' | 'size' | 'checksum' | 'headers' | 'segments'>,
  ): StoredObject {
    const before = this.objects.get(content.key);
    checkWriteConditions(request, before);
    const object: StoredObject = {
      ...content,
      // The name of the description: the newest one of a key is found by overwriting the one before.
      id: before?.id ?? randomUUID(),
      modifiedAt: new Date().toISOString(),
      ...(this.settings.versioned ? { versionId: randomUUID().replaceAll('-', '') } : {}),
    };
    this.#save('objects', object.id, object);
    this.objects.set(object.key, object);
    this.discard(before?.segments ?? []);
    return object;
  }

  remove(key: string): void {
    const object = this.objects.get(key);
    if (object === undefined) return;
    this.objects.delete(key);
    rmSync(this.#description('objects', object.id), { force: true });
    this.discard(object.segments);
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

  #save(folder: 'objects' | 'uploads', id: string, content: unknown): void {
    const file = this.#description(folder, id);
    writeFileSync(`${file}.tmp`, JSON.stringify(content), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  #load<T>(folder: 'objects' | 'uploads'): T[] {
    return readdirSync(path.join(this.#directory, folder))
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(path.join(this.#directory, folder, name), 'utf8')) as T);
  }

  #removeOrphans(): void {
    const named = new Set<string>();
    for (const { segments } of this.objects.values()) for (const { file } of segments) named.add(file);
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

  #description(folder: 'objects' | 'uploads', id: string): string {
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
