import { createHash } from 'node:crypto';

const pageSize = 4096;

/** A bbolt file as etcd's snapshots are, as small as can be: one root page, one page of keys for each 50 revisions. */
export function boltFile(options: {
  revisions: readonly number[];
  padToBytes?: number;
  inline?: boolean;
}): Buffer {
  const { revisions, padToBytes = 0, inline = false } = options;
  const chunks: number[][] = [];
  for (let from = 0; from < revisions.length; from += 50) chunks.push(revisions.slice(from, from + 50));
  const leaves = inline ? [] : chunks.map((chunk, n) => leafPage(5 + n, chunk));
  const branch = branchPage(
    4,
    chunks.map((chunk, n) => ({ first: chunk[0]!, page: 5 + n })),
  );
  const garbage: Buffer[] = [];
  const used = 5 + leaves.length;
  for (let id = used; id * pageSize < padToBytes; id += 1) garbage.push(staleLeaf(id));
  const pages = used + garbage.length;
  const root = rootPage(3, inline ? inlinePage(revisions) : undefined);
  return Buffer.concat([
    metaPage(0, pages),
    metaPage(1, pages),
    page(2, 0x10, 0),
    root,
    branch,
    ...leaves,
    ...garbage,
  ]);
}

/** With etcd's hash behind it. */
export function snapshotFile(options: Parameters<typeof boltFile>[0]): Buffer {
  const file = boltFile(options);
  return Buffer.concat([file, createHash('sha256').update(file).digest()]);
}

export async function* pieces(file: Buffer, size = 32 * 1024) {
  for (let at = 0; at < file.length; at += size) {
    const blob = file.subarray(at, at + size);
    yield { blob, remainingBytes: Math.max(0, file.length - 32 - at - blob.length) };
  }
}

function page(id: number, flags: number, count: number): Buffer {
  const buffer = Buffer.alloc(pageSize);
  buffer.writeBigUInt64LE(BigInt(id), 0);
  buffer.writeUInt16LE(flags, 8);
  buffer.writeUInt16LE(count, 10);
  return buffer;
}

function metaPage(id: number, pages: number): Buffer {
  const buffer = page(id, 0x04, 0);
  buffer.writeUInt32LE(0xed0cdaed, 16);
  buffer.writeUInt32LE(2, 20);
  buffer.writeUInt32LE(pageSize, 24);
  buffer.writeBigUInt64LE(3n, 32);
  buffer.writeBigUInt64LE(BigInt(pages), 56);
  return buffer;
}

interface Item {
  readonly flags: number;
  readonly key: Buffer;
  readonly value: Buffer;
}

function fillLeaf(buffer: Buffer, items: readonly Item[]): Buffer {
  let at = 16 + items.length * 16;
  for (const [n, { flags, key, value }] of items.entries()) {
    const element = 16 + n * 16;
    buffer.writeUInt32LE(flags, element);
    buffer.writeUInt32LE(at - element, element + 4);
    buffer.writeUInt32LE(key.length, element + 8);
    buffer.writeUInt32LE(value.length, element + 12);
    key.copy(buffer, at);
    value.copy(buffer, at + key.length);
    at += key.length + value.length;
  }
  return buffer;
}

const leafPage = (id: number, revisions: readonly number[]): Buffer =>
  fillLeaf(
    page(id, 0x02, revisions.length),
    revisions.map((main) => ({ flags: 0, key: revisionKey(main), value: Buffer.from('v') })),
  );

const inlinePage = (revisions: readonly number[]): Buffer => leafPage(0, revisions).subarray(0, 1024);

/** Freed: as it was when it held a revision that has never been committed in this transaction. */
const staleLeaf = (id: number): Buffer => leafPage(id, [999_999_999]);

function branchPage(id: number, children: readonly { first: number; page: number }[]): Buffer {
  const buffer = page(id, 0x01, children.length);
  let at = 16 + children.length * 16;
  for (const [n, child] of children.entries()) {
    const element = 16 + n * 16;
    const key = revisionKey(child.first);
    buffer.writeUInt32LE(at - element, element);
    buffer.writeUInt32LE(key.length, element + 4);
    buffer.writeBigUInt64LE(BigInt(child.page), element + 8);
    key.copy(buffer, at);
    at += key.length;
  }
  return buffer;
}

function rootPage(id: number, inline: Buffer | undefined): Buffer {
  const header = (root: number) => {
    const buffer = Buffer.alloc(16);
    buffer.writeBigUInt64LE(BigInt(root), 0);
    return buffer;
  };
  const empty = Buffer.concat([header(0), page(0, 0x02, 0).subarray(0, 16)]);
  const key = inline === undefined ? header(4) : Buffer.concat([header(0), inline]);
  const buckets: [string, Buffer][] = [
    ['alarm', empty],
    ['key', key],
    ['lease', empty],
  ];
  return fillLeaf(
    page(id, 0x02, buckets.length),
    buckets.map(([name, value]) => ({ flags: 1, key: Buffer.from(name), value })),
  );
}

function revisionKey(main: number): Buffer {
  const key = Buffer.alloc(17);
  key.writeBigUInt64BE(BigInt(main), 0);
  key.write('_', 8);
  return key;
}
