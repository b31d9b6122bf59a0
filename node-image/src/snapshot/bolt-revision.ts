import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

/** Sizes and marks of bbolt's file format 2. */
const boltMagic = 0xed0cdaed;
const headerBytes = 16;
const elementBytes = 16;
const metaBytes = 80;
const branchPage = 0x01;
const leafPage = 0x02;
const bucketFlag = 0x01;
/** `main` of a revision: what its key in the bucket `key` begins with. */
const mainBytes = 8;
/** etcd's few buckets fit a page or two, and a tree of 2^63 keys is not deeper. */
const mostRootBytes = 64 * 1024;
const deepest = 64;
/** A run of pages is as long as a handful of the largest values (1.5 MiB): what points further is not alive. */
const longestRunBytes = 64 * 1024 * 1024;
const mostWanted = 1024;

type KeyBucket = { readonly root: number } | { readonly revision: number };

interface Wanted {
  /** Absolute offset in the file. */
  readonly from: number;
  readonly bytes: Buffer;
  have: number;
  readonly done: (bytes: Buffer) => void;
}

/**
 * The highest revision in a bbolt file that streams by, without keeping the file.
 *
 * A stream cannot be searched from the root, so one number is kept of every page (8 bytes for 4 KiB): where its last
 * child is, or the revision of its last key. At the end the way from the root to the last key of the bucket `key` is
 * walked in these numbers. Pages that are not on that way may be anything: freed, half written by a later transaction,
 * the inside of a large value. What is read of them is never looked at.
 *
 * Layout (little endian): page = id u64, flags u16, count u16, overflow u32, elements. Leaf element = flags, pos, ksize,
 * vsize (u32 each, pos counted from the element); branch element = pos u32, ksize u32, page u64. Page 0 is the meta of
 * the transaction that the snapshot shows. Keys of the bucket `key` are revisions: main u64 (big endian), `_`, sub.
 */
export class BoltRevision {
  #pageSize = 0;
  #index = 0;
  #root = -1;
  #rest: Buffer = Buffer.alloc(0);
  /** Per page: revision of the last key, or −1 − id of the last child; NaN: neither. */
  #last: Float64Array = new Float64Array(0);
  readonly #keyBuckets = new Map<number, KeyBucket>();
  #rootChildren: number[] = [];
  #wanted: Wanted[] = [];

  /** @throws ControlPlaneError when this is no bbolt file */
  update(chunk: Buffer): void {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (this.#pageSize === 0 && data.length >= metaBytes) this.#readMeta(data);
    const size = this.#pageSize;
    while (size > 0 && data.length >= size) {
      this.#readPage(data.subarray(0, size));
      data = data.subarray(size);
      this.#index += 1;
    }
    // A copy: the chunk is much larger and would stay in memory.
    this.#rest = Buffer.from(data);
  }

  /** @throws ControlPlaneError when this is no bbolt file of etcd */
  finish(): number {
    const bucket = [this.#root, ...this.#rootChildren]
      .map((id) => this.#keyBuckets.get(id))
      .find((found) => found !== undefined);
    if (bucket === undefined) throw notEtcd('it has no bucket of keys');
    if ('revision' in bucket) return bucket.revision;
    let id = bucket.root;
    for (let depth = 0; depth < deepest; depth += 1) {
      const last = this.#last[id];
      if (last === undefined || Number.isNaN(last)) throw notEtcd(`its page ${id} cannot be read`);
      if (last >= 0) return last;
      id = -1 - last;
    }
    throw notEtcd('its tree has no end');
  }

  #readMeta(data: Buffer): void {
    const pageSize = data.readUInt32LE(headerBytes + 8);
    const plausible = pageSize >= 1024 && pageSize <= 65_536 && pageSize % 512 === 0;
    if (data.readUInt32LE(headerBytes) !== boltMagic || !plausible) {
      throw notEtcd('it does not begin with the meta page of a bbolt file');
    }
    this.#pageSize = pageSize;
    this.#root = u64(data, headerBytes + 16);
    // The high-water mark: the file ends there.
    this.#last = new Float64Array(u64(data, headerBytes + 40)).fill(Number.NaN);
  }

  #readPage(page: Buffer): void {
    const index = this.#index;
    if (this.#wanted.length > 0) this.#serveWanted(page);
    // Inside of a large value, most likely.
    if (u64(page, 0) !== index || index >= this.#last.length) return;
    const flags = page.readUInt16LE(8);
    const count = page.readUInt16LE(10);
    const element = headerBytes + (count - 1) * elementBytes;
    if (element + elementBytes > page.length) return;
    if (flags === branchPage && count > 0) this.#readBranch(page, count, element);
    else if (flags === leafPage && count === 0) this.#last[index] = 0;
    else if (flags === leafPage) this.#readLeaf(page, count, element);
  }

  #readBranch(page: Buffer, count: number, element: number): void {
    this.#last[this.#index] = -1 - u64(page, element + 8);
    if (this.#index !== this.#root) return;
    this.#rootChildren = Array.from({ length: count }, (_, n) =>
      u64(page, headerBytes + n * elementBytes + 8),
    );
  }

  #readLeaf(page: Buffer, count: number, element: number): void {
    const index = this.#index;
    if ((page.readUInt32LE(element) & bucketFlag) === 0) {
      this.#want(page, element + page.readUInt32LE(element + 4), mainBytes, (main) => {
        this.#last[index] = mainOf(main, 0);
      });
      return;
    }
    const run = (page.readUInt32LE(12) + 1) * page.length;
    if (run > mostRootBytes) return;
    this.#want(page, 0, run, (bytes) => {
      const bucket = keyBucketIn(bytes, count);
      if (bucket !== undefined) this.#keyBuckets.set(index, bucket);
    });
  }

  /** Bytes of this page's run, which may lie in a page to come. */
  #want(page: Buffer, at: number, length: number, done: (bytes: Buffer) => void): void {
    if (at + length <= page.length) {
      done(page.subarray(at, at + length));
      return;
    }
    if (at > longestRunBytes || this.#wanted.length >= mostWanted) return;
    const wanted = { from: this.#index * page.length + at, bytes: Buffer.alloc(length), have: 0, done };
    this.#wanted.push(wanted);
    serve(wanted, page, this.#index * page.length);
  }

  #serveWanted(page: Buffer): void {
    const start = this.#index * page.length;
    this.#wanted = this.#wanted.filter((wanted) => !serve(wanted, page, start));
  }
}

/** Takes what this page has of it; true when it is complete. */
function serve(wanted: Wanted, page: Buffer, start: number): boolean {
  const next = wanted.from + wanted.have - start;
  if (next >= page.length) return false;
  wanted.have += page.copy(wanted.bytes, wanted.have, next);
  if (wanted.have < wanted.bytes.length) return false;
  wanted.done(wanted.bytes);
  return true;
}

/** What etcd counts from: the first change ever gets 2. */
const emptyRevision = 1;

/** The bucket `key` among those of a root page: a page of its own, or (a few keys) inside the root page. */
function keyBucketIn(run: Buffer, count: number): KeyBucket | undefined {
  for (let n = 0; n < count; n += 1) {
    const element = headerBytes + n * elementBytes;
    const at = element + run.readUInt32LE(element + 4);
    const keyBytes = run.readUInt32LE(element + 8);
    if (run.toString('latin1', at, at + keyBytes) !== 'key') continue;
    const value = at + keyBytes;
    const root = u64(run, value);
    if (root !== 0) return { root };
    const inline = run.subarray(value + 16);
    const keys = inline.readUInt16LE(10);
    if (keys === 0) return { revision: emptyRevision };
    const last = headerBytes + (keys - 1) * elementBytes;
    return { revision: mainOf(inline, last + inline.readUInt32LE(last + 4)) };
  }
  return undefined;
}

// Read as two halves: BigInt is slow without the JIT, and neither revisions nor page ids come near 2^53.
const u64 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
const mainOf = (bytes: Buffer, at: number): number =>
  bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);

function notEtcd(why: string): ControlPlaneError {
  return new ControlPlaneError('not-a-snapshot', `The revision cannot be read from the snapshot: ${why}.`);
}
