import { setTimeout as delay } from 'node:timers/promises';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';
import type { Log } from '../../../lambdas/core/ports.ts';
import type { SnapshotProgress, SnapshotRequest } from '../../../lambdas/core/wire/admin.ts';
import type { EtcdClient } from '../etcd/client.ts';
import { sentence } from '../log.ts';
import type { SavedState } from '../member-disk.ts';
import type { S3Client } from '../s3/client.ts';
import { uploadSnapshot } from './upload.ts';

type Kept = NonNullable<SavedState['snapshots']>[number];

export interface SnapshotsOptions {
  readonly s3: S3Client;
  /** A client of its own for each snapshot, closed after it: a big stream must not hold up the small calls. */
  readonly openEtcd: () => EtcdClient;
  readonly saved: () => readonly Kept[];
  /** May fail (a full disk): the snapshot goes on all the same. */
  readonly save: (snapshots: Kept[]) => Promise<void>;
  /** Called after each snapshot. */
  readonly onIdle?: () => void;
  readonly now: () => Date;
  readonly log: Log;
}

const keptSnapshots = 4;
const stopMs = 2_000;
/** Nothing from etcd for this long. Opening the read transaction of a big database takes a moment. */
const idleMs = 30_000;

/** Snapshots of the own etcd into S3: one at a time, each known by its key. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #stopping = new AbortController();
  #kept: Kept[];
  #clearing: Promise<unknown> = Promise.resolve();
  #running: { name: SnapshotRequest; done: Promise<void> } | undefined;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#kept = [...options.saved()];
  }

  /**
   * Starts the snapshot, or tells how far it is. A failure is told once: whoever asks again starts it anew.
   * @throws ControlPlaneError `snapshot-running` while another one is under way
   */
  ask(request: SnapshotRequest): SnapshotProgress {
    const running = this.#running?.name;
    const known = this.#find(request);
    if (running !== undefined && !same(running, request)) {
      throw new ControlPlaneError(
        'snapshot-running',
        `This member is uploading the snapshot ${running.key}: ask again when that is done.`,
        { retryable: true },
      );
    }
    if (known && (running !== undefined || known.progress.state === 'done')) return known.progress;
    if (known?.progress.state === 'failed') {
      this.#forget(request);
      return known.progress;
    }
    // `running` without a run: the nanny was restarted under it.
    this.#start(request, known);
    return this.#find(request)!.progress;
  }

  /**
   * Takes back the uploads of a nanny that was killed over them: nobody may ever ask for those keys again. In the
   * background; a snapshot waits for it.
   */
  clearUp(): void {
    const left = this.#kept.filter(({ progress }) => progress.state === 'running');
    this.#clearing = Promise.all(left.map((kept) => this.#takeBack(kept)));
  }

  /** Waits for the upload to be taken back, but not long: the task has 30 s to end. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the nanny is stopping'));
    if (this.#running) await Promise.race([this.#running.done, delay(stopMs, undefined, { ref: false })]);
  }

  #start(name: SnapshotRequest, leftOver: Kept | undefined): void {
    this.#set({ ...name, progress: { state: 'running', bytes: 0 } });
    const done = this.#run(name, leftOver).finally(() => {
      this.#running = undefined;
      this.#options.onIdle?.();
    });
    this.#running = { name, done };
  }

  async #run(name: SnapshotRequest, leftOver: Kept | undefined): Promise<void> {
    const { s3, openEtcd, now, log } = this.#options;
    const etcd = openEtcd();
    const startedAt = performance.now();
    const set = (progress: SnapshotProgress, uploadId?: string) =>
      this.#set({ ...name, ...(uploadId !== undefined && { uploadId }), progress });
    log.info('Snapshot started', { ...name });
    try {
      await this.#clearing;
      if (leftOver !== undefined) await this.#takeBack(leftOver);
      await this.#save();
      let upload: string | undefined;
      const result = await uploadSnapshot(s3, name, etcd.snapshot(idleMs), {
        onProgress: (bytes, totalBytes) =>
          set({ state: 'running', bytes, ...(totalBytes !== undefined && { totalBytes }) }, upload),
        onUpload: async (uploadId) => {
          upload = uploadId;
          set({ state: 'running', bytes: 0 }, uploadId);
          await this.#save();
        },
        signal: this.#stopping.signal,
        now,
      });
      set({ state: 'done', ...result });
      const seconds = Math.round(performance.now() - startedAt) / 1_000;
      log.info('Snapshot published', { ...name, ...result, seconds });
    } catch (error) {
      set({ state: 'failed', problem: sentence(error) });
      log.warn(`Snapshot failed: ${sentence(error)}`, { ...name });
    } finally {
      etcd.close();
    }
    await this.#save();
  }

  /** Best effort. S3 is asked, because a nanny may be killed before it could note the id. */
  async #takeBack({ bucket, key, uploadId }: Kept): Promise<void> {
    const { s3 } = this.#options;
    const open = await s3.openUploads({ bucket, key }).catch(() => []);
    const ids = new Set([...open, ...(uploadId === undefined ? [] : [uploadId])]);
    for (const id of ids) await s3.abortUpload({ bucket, key }, id).catch(() => undefined);
  }

  async #save(): Promise<void> {
    await this.#options.save(this.#kept).catch((error) => {
      this.#options.log.warn(`The progress of the snapshot could not be noted: ${sentence(error)}`);
    });
  }

  #find(name: SnapshotRequest): Kept | undefined {
    return this.#kept.find((kept) => same(kept, name));
  }

  #set(next: Kept): void {
    this.#kept = [...this.#kept.filter((kept) => !same(kept, next)), next].slice(-keptSnapshots);
  }

  #forget(name: SnapshotRequest): void {
    this.#kept = this.#kept.filter((kept) => !same(kept, name));
  }
}

const same = (a: SnapshotRequest, b: SnapshotRequest): boolean => a.bucket === b.bucket && a.key === b.key;
