import { closeSync, fstatSync, fsyncSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import { AwsError } from '../aws/service.ts';

/** bbolt's page header: id 8, flags 2, count 2, overflow 4 bytes; elements of a leaf: flags, pos, ksize, vsize, 4 each. */
const headerBytes = 16;
const elementBytes = 16;
const leafFlag = 0x02;
/** Of an element: its value is a bucket, root page 8 and sequence 8 bytes; root 0: its page comes right behind. */
const bucketFlag = 0x01;
const bucketBytes = 16;
/** etcd's revision keys: 8 bytes main, `_`, 8 bytes sub; tombstones have one more. */
const revisionKeyBytes = 17;

function withFile<T>(file: string, work: (fd: number) => T): T {
  const fd = openSync(file, 'r+');
  try {
    const result = work(fd);
    fsyncSync(fd);
    return result;
  } finally {
    closeSync(fd);
  }
}

/**
 * Changes the last byte of a value in each leaf page with values: etcd still serves it, but the hash of its data is
 * another one than its peers'. Old copies of pages are changed too: which are live is not looked up.
 * An etcd that runs reads the change too: it maps the file.
 * @param folder of the member: its database is `etcd/member/snap/db`
 * @returns number of values changed
 */
export function corruptDb(folder: string, pageBytes = 4096): number {
  return withFile(path.join(folder, 'etcd', 'member', 'snap', 'db'), (fd) => {
    const page = Buffer.alloc(pageBytes);
    const pages = Math.floor(fstatSync(fd).size / pageBytes);
    let changed = 0;
    for (let index = 2; index < pages; index += 1) {
      readSync(fd, page, 0, pageBytes, index * pageBytes);
      const at = valueEnd(page);
      if (at === undefined) continue;
      writeSync(fd, Buffer.of(page[at]! ^ 0x01), 0, 1, index * pageBytes + at);
      changed += 1;
    }
    if (changed === 0)
      throw new AwsError('NothingToCorrupt', 'There is no value in the database yet: write one first.', 409);
    return changed;
  });
}

/** Shortest record of a key with a value of one byte. */
const shortestRecord = 12;

/** Where the value of the last key in a page ends; a bucket with little in it lies inside the page of its parent. */
function valueEnd(page: Buffer, from = 0): number | undefined {
  const count = page.length < from + headerBytes ? 0 : page.readUInt16LE(from + 10);
  if (count === 0 || page.readUInt16LE(from + 8) !== leafFlag) return undefined;
  for (let index = count - 1; index >= 0; index -= 1) {
    const element = from + headerBytes + index * elementBytes;
    if (element + elementBytes > page.length) return undefined;
    const [flags, pos, ksize, vsize] = [0, 4, 8, 12].map((offset) => page.readUInt32LE(element + offset)) as [
      number,
      number,
      number,
      number,
    ];
    const key = element + pos;
    const value = key + ksize;
    const end = value + vsize - 1;
    if (end >= page.length) return undefined;
    const isBucket = (flags & bucketFlag) !== 0;
    if (!isBucket && ksize === revisionKeyBytes && page[key + 8] === 0x5f && vsize >= shortestRecord)
      return end;
    const inside =
      isBucket && page.readBigUInt64LE(value) === 0n ? valueEnd(page, value + bucketBytes) : undefined;
    if (inside !== undefined) return inside;
  }
  return undefined;
}

/**
 * Changes the last byte of an entry, halfway through the newest WAL file that has one: its checksum no longer fits, and
 * etcd does not start.
 * @returns name of the file
 */
export function corruptWal(folder: string): string {
  const directory = path.join(folder, 'etcd', 'member', 'wal');
  const names = readdirSync(directory).filter((file) => file.endsWith('.wal'));
  for (const name of names.sort().reverse()) {
    const hit = withFile(path.join(directory, name), (fd) => {
      const content = Buffer.alloc(fstatSync(fd).size);
      readSync(fd, content, 0, content.length, 0);
      const at = endOfAnEntry(content);
      return at !== undefined && writeSync(fd, Buffer.of(content[at]! ^ 0xff), 0, 1, at) === 1;
    });
    if (hit) return name;
  }
  throw new AwsError('NothingToCorrupt', 'There is no entry in the WAL yet: write a key first.', 409);
}

/** A write is whole sector by sector, etcd takes it: one that is all zeros is of a write cut off (wal/decoder.go). */
const sectorBytes = 512;

/**
 * The last byte of an entry's data. Not a byte of a length, of the frame or within the record, and none of a record that
 * has a sector of zeros: that reads as a write cut short, which etcd repairs by dropping the rest (wal.Repair), so that a
 * member may find out much later, or never. Not of padding: that nobody reads.
 * A frame is a length of 8 bytes, little-endian, whose top byte tells of padding, then record and padding up to 8 bytes
 * (etcd server/storage/wal/encoder.go); a record has its type (2: an entry), its checksum, and last its data.
 */
function endOfAnEntry(content: Buffer): number | undefined {
  const ends: { readonly last: number; readonly inOneSector: boolean }[] = [];
  for (let at = 0; at + 8 <= content.length; ) {
    const bytes = content.readUIntLE(at, 6);
    // The file is made longer than what is in it: the rest is zeros.
    if (bytes === 0 || at + 8 + bytes > content.length) break;
    const [first, last] = [at + 8, at + 7 + bytes];
    const inOneSector = Math.floor(first / sectorBytes) === Math.floor(last / sectorBytes);
    if (content[first] === 0x08 && content[first + 1] === 2) ends.push({ last, inOneSector });
    const top = content[at + 7]!;
    at = last + 1 + (top & 0x80 ? top & 0x07 : 0);
  }
  const sure = ends.filter(({ inOneSector }) => inOneSector);
  const entries = sure.length > 0 ? sure : ends;
  return entries[Math.floor(entries.length / 2)]?.last;
}
