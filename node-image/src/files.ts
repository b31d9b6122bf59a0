import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes and flushes to the disk, so that a file which is there after a power cut is whole. */
export async function writeDurably(path: string, content: string, mode: number): Promise<void> {
  const file = await open(path, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Readers see the old content or the new, never half of it. */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const next = `${path}.next`;
  await writeDurably(next, content, mode);
  await rename(next, path);
  await syncDirectory(dirname(path));
}

/** Makes renames and new names in the directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export async function makePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}
