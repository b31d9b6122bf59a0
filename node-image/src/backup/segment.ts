import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

/** One change of a key. `lease` is etcd's id as a decimal string (int64), `0` for none. */
export type Change =
  | { readonly kind: 'put'; readonly key: Buffer; readonly value: Buffer; readonly lease: string }
  | { readonly kind: 'delete'; readonly key: Buffer };

/** All changes of one revision, in the order in which etcd made them. */
export interface RevisionRecord {
  readonly revision: number;
  /** When the nanny that shipped it saw it, milliseconds since 1970. */
  readonly seenAtMs: number;
  readonly changes: readonly Change[];
}

export interface LeaseRecord {
  readonly id: string;
  /** As granted, seconds; 0: it had ended when it was asked for, or could not be asked for. */
  readonly ttl: number;
}

/** What a segment holds. Every lease that a put of it uses is among the leases. */
export interface Segment {
  readonly leases: readonly LeaseRecord[];
  readonly records: readonly RevisionRecord[];
}

/** What was fetched is no segment, or not the one that was stored. */
export class DamagedSegmentError extends ControlPlaneError {
  constructor(problem: string) {
    super('damaged-segment', problem);
  }
}

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** `ENDS` (etcd-nanny delta segment) and the version of the format. */
const magic = Buffer.from('ENDS\x01', 'latin1');
const hashBytes = 32;
const put = 1;
const del = 2;
/** A segment is about 4 MB; one revision alone may be larger, but no request to etcd is. */
const mostBytes = 1024 * 1024 * 1024;

/**
 * The object that is stored (docs/backups.md, "Segment format"): one zstd frame with its own checksum, then the SHA-256
 * of that frame.
 */
export async function packSegment({ leases, records }: Segment): Promise<Buffer> {
  const writer = new Writer();
  writer.raw(magic);
  writer.number(leases.length);
  for (const { id, ttl } of leases) {
    writer.int64(id);
    writer.number(ttl);
  }
  writer.number(records.length);
  for (const { revision, seenAtMs, changes } of records) {
    writer.number(revision);
    writer.number(seenAtMs);
    writer.number(changes.length);
    for (const change of changes) {
      writer.number(change.kind === 'put' ? put : del);
      writer.bytes(change.key);
      if (change.kind === 'put') {
        writer.int64(change.lease);
        writer.bytes(change.value);
      }
    }
  }
  const params = { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_compressionLevel]: 3 };
  const frame = await compress(writer.content(), { params });
  return Buffer.concat([frame, createHash('sha256').update(frame).digest()]);
}

/** @throws DamagedSegmentError */
export async function unpackSegment(object: Buffer): Promise<Segment> {
  const frame = object.subarray(0, Math.max(0, object.length - hashBytes));
  if (!createHash('sha256').update(frame).digest().equals(object.subarray(frame.length))) {
    throw new DamagedSegmentError(
      `it does not match the SHA-256 at its end (${object.length} bytes): it was altered or cut short`,
    );
  }
  let content: Buffer;
  try {
    content = await decompress(frame, { maxOutputLength: mostBytes });
  } catch (cause) {
    throw new DamagedSegmentError(`it is no zstd frame: ${cause instanceof Error ? cause.message : cause}`);
  }
  const reader = new Reader(content);
  if (!reader.raw(magic.length).equals(magic)) {
    throw new DamagedSegmentError('it is no segment of format 1: it may be of a newer nanny');
  }
  const leases = reader.many(() => ({ id: reader.int64(), ttl: reader.number() }));
  const records = reader.many(() => ({
    revision: reader.number(),
    seenAtMs: reader.number(),
    changes: reader.many(() => readChange(reader)),
  }));
  if (!reader.ended) throw new DamagedSegmentError('there are bytes behind its last record');
  for (const [n, { revision }] of records.entries()) {
    if (revision !== records[0]!.revision + n) {
      throw new DamagedSegmentError(`revision ${revision} follows ${records[n - 1]!.revision} in it`);
    }
  }
  return { leases, records };
}

function readChange(reader: Reader): Change {
  const kind = reader.number();
  const key = reader.bytes();
  if (kind === del) return { kind: 'delete', key };
  if (kind !== put) throw new DamagedSegmentError(`it has a change of kind ${kind}, which nobody knows`);
  return { kind: 'put', key, lease: reader.int64(), value: reader.bytes() };
}

/** Numbers are unsigned LEB128, ids 8 bytes (big endian, two's complement), bytes have their length in front. */
class Writer {
  readonly #parts: Buffer[] = [];
  #small: number[] = [];

  number(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.#small.push((rest % 0x80) | 0x80);
    this.#small.push(rest);
  }

  int64(id: string): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(id));
    this.raw(bytes);
  }

  bytes(content: Buffer): void {
    this.number(content.length);
    this.raw(content);
  }

  raw(content: Buffer): void {
    this.#flush();
    this.#parts.push(content);
  }

  content(): Buffer {
    this.#flush();
    return Buffer.concat(this.#parts);
  }

  #flush(): void {
    if (this.#small.length > 0) this.#parts.push(Buffer.from(this.#small));
    this.#small = [];
  }
}

class Reader {
  readonly #content: Buffer;
  #at = 0;

  constructor(content: Buffer) {
    this.#content = content;
  }

  get ended(): boolean {
    return this.#at === this.#content.length;
  }

  number(): number {
    let value = 0;
    for (let unit = 1; unit <= 2 ** 49; unit *= 0x80) {
      const byte = this.raw(1)[0]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
    throw new DamagedSegmentError('it has a number that is too large');
  }

  int64(): string {
    return this.raw(8).readBigInt64BE().toString();
  }

  bytes(): Buffer {
    return this.raw(this.number());
  }

  many<T>(one: () => T): T[] {
    const count = this.number();
    const list: T[] = [];
    while (list.length < count) list.push(one());
    return list;
  }

  raw(length: number): Buffer {
    const bytes = this.#content.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new DamagedSegmentError('it ends in the middle of a record');
    this.#at += length;
    return bytes;
  }
}
