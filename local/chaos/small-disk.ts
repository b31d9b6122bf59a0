import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, rmdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { AwsError } from '../aws/service.ts';

const run = promisify(execFile);
const mebibyte = 1024 * 1024;
/** Room while it is being filled, and after it was healed. */
const roomyBytes = 4096 * mebibyte;

/** A volume that was put onto a file system of its own, whose size is known. */
export interface SmallDisk {
  /** Changes how much more can be written. */
  leave(bytes: number): Promise<void>;
  heal(): Promise<void>;
  /** Puts what is there back where it was, when nobody uses it any more. */
  dispose(): Promise<void>;
}

/**
 * Moves a volume onto a tmpfs. Only root can: everywhere else volumes are folders without a limit of their own.
 * Nobody may be writing there meanwhile.
 * @throws AwsError when this machine does not let us
 */
export async function smallDisk(volume: string): Promise<SmallDisk> {
  const disk = `${volume}-small`;
  await mkdir(disk, { recursive: true });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${roomyBytes}`, 'etcd-nanny-chaos', disk]);
  } catch (error) {
    await rmdir(disk).catch(() => {});
    throw new AwsError(
      'NotPermitted',
      `Filling a disk takes root and mount(8): it is done by moving the volume onto a small tmpfs. ${(error as Error).message}`,
      409,
    );
  }
  await run('cp', ['-a', `${volume}/.`, disk]);
  // What is left below would come back as an old disk if the mount got lost.
  await empty(volume);
  await run('mount', ['--bind', disk, volume]);
  const resize = (bytes: number) => run('mount', ['-o', `remount,size=${bytes}`, disk]);
  return {
    async leave(bytes) {
      const { blocks, bfree, bsize } = await statfs(disk);
      await resize((blocks - bfree) * bsize + bytes);
    },
    async heal() {
      await resize(roomyBytes);
    },
    async dispose() {
      await run('umount', [volume]);
      await run('cp', ['-a', `${disk}/.`, volume]).catch(() => {});
      await run('umount', [disk]);
      await rmdir(disk).catch(() => {});
    },
  };
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    await rm(path.join(folder, name), { recursive: true, force: true });
}
