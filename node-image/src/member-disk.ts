import { existsSync, readdirSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import {
  etcdVersionSchema,
  isoTimeSchema,
  memberNameSchema,
  tenantIdSchema,
} from '../../lambdas/core/model/names.ts';
import { snapshotProgressSchema } from '../../lambdas/core/wire/admin.ts';
import { restoreOrderSchema } from '../../lambdas/core/wire/join.ts';
import { makePrivateDirectory, replaceFile } from './files.ts';

/** nanny.json: the last boot answer and what must outlive a restart of the nanny. */
const savedStateSchema = z.strictObject({
  schemaVersion: z.literal(1),
  tenantId: tenantIdSchema,
  memberName: memberNameSchema,
  incarnation: z.int(),
  /** `resume` from the moment etcd has written a WAL: from then on this disk is never given to `new` again (S3). */
  mode: z.enum(['new', 'existing', 'restore', 'resume']),
  /** With mode `restore`: what is restored, until it has been. */
  restore: restoreOrderSchema.optional(),
  etcdVersion: etcdVersionSchema,
  etcdArguments: z.array(z.string()),
  /** Highest fencing token seen on the admin API. */
  fence: z.int().min(0),
  /** Set once this disk must never be started again. */
  ended: z.strictObject({ state: z.enum(['removed', 'data-lost']), reason: z.string() }).optional(),
  /** The last snapshots that were asked for, oldest first. `uploadId`: still to be aborted if nobody works on it. */
  snapshots: z
    .array(
      z.strictObject({
        bucket: z.string(),
        key: z.string(),
        uploadId: z.string().optional(),
        progress: snapshotProgressSchema,
      }),
    )
    .optional(),
  /** The chain of changes that this nanny ships (`POST /v1/backup`). */
  backup: z
    .strictObject({
      chain: z.string(),
      bucket: z.string(),
      prefix: z.string(),
      afterRevision: z.int(),
      shippedRevision: z.int(),
      upToDateAt: isoTimeSchema,
      broken: z.string().optional(),
    })
    .optional(),
});

export type SavedState = z.infer<typeof savedStateSchema>;

/** `<NANNY_DATA_DIR>/<memberName>/{etcd/, pki/, nanny.json}`. */
export class MemberDisk {
  readonly root: string;
  readonly etcdDirectory: string;
  readonly #statePath: string;
  #saved: SavedState | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(root: string) {
    this.root = root;
    this.etcdDirectory = join(root, 'etcd');
    this.#statePath = join(root, 'nanny.json');
  }

  /** @throws ControlPlaneError when nanny.json is there but cannot be understood, or belongs to somebody else */
  static async open(dataDir: string, who: { tenantId: string; memberName: string }): Promise<MemberDisk> {
    const disk = new MemberDisk(join(dataDir, who.memberName));
    await makePrivateDirectory(disk.root);
    disk.#saved = await readState(disk.#statePath);
    const { tenantId } = disk.#saved ?? who;
    if (tenantId !== who.tenantId) {
      throw new ControlPlaneError(
        'wrong-disk',
        `The disk at ${disk.root} belongs to tenant ${tenantId}, not to ${who.tenantId}: refusing to touch it.`,
      );
    }
    return disk;
  }

  get saved(): SavedState | undefined {
    return this.#saved;
  }

  /** Whether etcd has ever written here. Before its first WAL file a member has promised nothing to anybody. */
  hasData(): boolean {
    return hasWal(this.etcdDirectory);
  }

  /** Saves one after the other; what it returns is on the disk when the promise settles. */
  async save(change: (saved: SavedState | undefined) => SavedState): Promise<SavedState> {
    const write = this.#writing.then(async () => {
      const next = change(this.#saved);
      await replaceFile(this.#statePath, `${JSON.stringify(next, null, 2)}\n`, 0o600);
      this.#saved = next;
      return next;
    });
    this.#writing = write.then(
      () => undefined,
      () => undefined,
    );
    return await write;
  }

  /** Like save, for a state that must exist already. */
  async update(change: Partial<SavedState>): Promise<void> {
    await this.save((saved) => {
      if (saved === undefined) throw new Error('nanny.json is to be changed before it was first written');
      return { ...saved, ...change };
    });
  }

  /** Where a snapshot is made into a data directory before that takes its place; emptied when it is done. */
  get restoreDirectory(): string {
    return join(this.root, 'restore');
  }

  async space(): Promise<{ totalBytes: number; freeBytes: number }> {
    return await spaceOf(this.root);
  }
}

export async function spaceOf(directory: string): Promise<{ totalBytes: number; freeBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(directory);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

/** Whether etcd has ever written to this data directory. */
export function hasWal(etcdDirectory: string): boolean {
  const wal = join(etcdDirectory, 'member', 'wal');
  return existsSync(wal) && readdirSync(wal).some((name) => name.endsWith('.wal'));
}

async function readState(path: string): Promise<SavedState | undefined> {
  if (!existsSync(path)) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw unreadable(path, 'it is not JSON', cause);
  }
  const parsed = savedStateSchema.safeParse(content);
  if (!parsed.success) throw unreadable(path, z.prettifyError(parsed.error));
  return parsed.data;
}

function unreadable(path: string, why: string, cause?: unknown): ControlPlaneError {
  return new ControlPlaneError(
    'unreadable-state',
    `${path} cannot be understood (${why}). Starting etcd without it could start the wrong data: replace this member.`,
    { cause },
  );
}
