import { randomUUID } from 'node:crypto';
import type { ObjectName, S3Client } from '../s3/client.ts';
import { S3Error } from '../s3/errors.ts';
import { BoltRevision } from './bolt-revision.ts';
import { TrailingHash } from './trailing-hash.ts';

export interface SnapshotPiece {
  readonly blob: Buffer;
  readonly remainingBytes: number;
}

export interface UploadedSnapshot {
  readonly bytes: number;
  /** Of the whole object, hex. */
  readonly sha256: string;
  /** Highest revision in it, read from the file itself. */
  readonly revision: number;
  /** When its first bytes came: nothing in it is younger. */
  readonly contentAt: string;
}

export interface UploadHooks {
  readonly now: () => Date;
  readonly onProgress: (bytes: number, totalBytes: number | undefined) => void;
  /** A multipart upload has begun: to be aborted if we do not come back. */
  readonly onUpload: (uploadId: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/** 10,000 parts at most: 60 GB, and S3 takes none below 5 MiB but the last. */
export const partBytes = 6 * 1024 * 1024;
/**
 * S3 answers a part after a tenth of a second or so: with one at a time its answers would set the pace. Each takes a
 * buffer, as does the part that is being filled.
 */
const sendingAtOnce = 3;
const hashBytes = 32;
/** Tells our object from somebody else's when the answer to the last call got lost. */
const markName = 'etcd-nanny-upload';

/**
 * Streams a snapshot of etcd into S3 in constant memory. It appears under its key only once etcd's own hash has been
 * found right and the revision has been read; else nothing stays behind.
 * @throws S3Error, EtcdError, ControlPlaneError
 */
export async function uploadSnapshot(
  s3: S3Client,
  name: ObjectName,
  pieces: AsyncIterable<SnapshotPiece>,
  hooks: UploadHooks,
): Promise<UploadedSnapshot> {
  const mark = randomUUID();
  const upload = new Parts(s3, name, mark, hooks.onUpload);
  const hash = new TrailingHash();
  const revision = new BoltRevision();
  let totalBytes: number | undefined;
  let contentAt: string | undefined;
  try {
    for await (const { blob, remainingBytes } of pieces) {
      contentAt ??= hooks.now().toISOString();
      hooks.signal.throwIfAborted();
      totalBytes ??= blob.length + remainingBytes + hashBytes;
      hash.update(blob);
      // The hash behind the last page is less than a page: never looked at.
      revision.update(blob);
      await upload.write(blob);
      hooks.onProgress(hash.bytes, totalBytes);
    }
    const result = { bytes: hash.bytes, sha256: hash.finish(), revision: revision.finish() };
    await upload.publish();
    return { ...result, contentAt: contentAt! };
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** One object, put at once when it is small, else in parts. */
class Parts {
  readonly #s3: S3Client;
  readonly #name: ObjectName;
  readonly #mark: string;
  readonly #onUpload: (uploadId: string) => Promise<void>;
  readonly #etags: string[] = [];
  /** The part that is being filled. */
  #part = partBuffer();
  #filled = 0;
  readonly #free: Buffer[] = [];
  /** Oldest first. */
  #sending: Promise<void>[] = [];
  #parts = 0;
  #uploadId: string | undefined;

  constructor(s3: S3Client, name: ObjectName, mark: string, onUpload: (uploadId: string) => Promise<void>) {
    this.#s3 = s3;
    this.#name = name;
    this.#mark = mark;
    this.#onUpload = onUpload;
  }

  async write(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      if (this.#filled === partBytes) await this.#send();
      const copied = bytes.copy(this.#part, this.#filled, from);
      this.#filled += copied;
      from += copied;
    }
  }

  /** Only if there is nothing under the key. */
  async publish(): Promise<void> {
    try {
      if (this.#uploadId === undefined) {
        await this.#s3.put(this.#name, this.#content(), { [markName]: this.#mark });
        return;
      }
      await this.#send();
      await Promise.all(this.#sending);
      await this.#s3.completeUpload(this.#name, this.#uploadId, this.#etags);
    } catch (error) {
      // A repeated call finds what the first one did: its answer got lost.
      if (!(error instanceof S3Error) || !['PreconditionFailed', 'NoSuchUpload'].includes(error.code))
        throw error;
      const there = await this.#s3.head(this.#name);
      if (there?.metadata[markName] !== this.#mark) throw error;
    }
  }

  /** Best effort: the bucket's own rule removes what stays. */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#sending);
    if (this.#uploadId !== undefined)
      await this.#s3.abortUpload(this.#name, this.#uploadId).catch(() => undefined);
  }

  #content(): Buffer {
    return this.#part.subarray(0, this.#filled);
  }

  /** Returns as soon as the next part can be filled. @throws what one of the parts before failed with */
  async #send(): Promise<void> {
    if (this.#uploadId === undefined) {
      this.#uploadId = await this.#s3.createUpload(this.#name, { [markName]: this.#mark });
      await this.#onUpload(this.#uploadId);
    }
    while (this.#sending.length >= sendingAtOnce) {
      await this.#sending[0];
      this.#sending = this.#sending.slice(1);
    }
    const [part, uploadId, index] = [this.#part, this.#uploadId, this.#parts];
    const sending = this.#s3.uploadPart(this.#name, uploadId, index + 1, this.#content()).then((etag) => {
      this.#etags[index] = etag;
      this.#free.push(part);
    });
    // Looked at by a later call; without this a failure in between would end the process.
    sending.catch(() => undefined);
    this.#sending.push(sending);
    this.#parts += 1;
    this.#part = this.#free.pop() ?? partBuffer();
    this.#filled = 0;
  }
}

/** Resizable, because V8 maps such memory by itself: malloc would keep what has been freed. */
const partBuffer = (): Buffer =>
  Buffer.from(new ArrayBuffer(partBytes, { maxByteLength: partBytes }), 0, partBytes);
