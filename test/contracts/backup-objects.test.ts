import { ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupObjects } from '../../lambdas/core/ports.ts';
import { SimBucket } from '../fakes/sim/sim-bucket.ts';
import { startBackupBucket } from './backup-bucket.ts';

interface World {
  readonly objects: BackupObjects;
  put(...keys: string[]): Promise<void>;
}

/** What every BackupObjects promises. */
function backupObjectsContract(world: () => World): void {
  const names = async (prefix: string, after?: string) =>
    (await world().objects.list(prefix, after === undefined ? {} : { after })).map(({ key }) => key);

  it('lists what is below a prefix in the order of names, with sizes, from a name on', async () => {
    const { objects, put } = world();
    const own = ['a', 'b', 'c'].map((name) => `cell-1/listed/1/delta/${name}`);
    await put(own[2]!, own[0]!, own[1]!, 'cell-1/listed-2/1/delta/a', 'cell-2/listed/1/delta/a');
    expect(await names('cell-1/listed/')).toEqual(own);
    expect(await names('cell-1/listed/1/delta/', own[0])).toEqual(own.slice(1));
    expect(await names('cell-1/nobody/')).toEqual([]);
    for (const { bytes } of await objects.list('cell-1/listed/')) expect(bytes).toBeGreaterThan(0);
  });

  it('knows whether there is exactly this name', async () => {
    const { objects, put } = world();
    await put('cell-1/known/1/full/01.snap.old');
    expect(await objects.exists('cell-1/known/1/full/01.snap')).toBe(false);
    await put('cell-1/known/1/full/01.snap');
    expect(await objects.exists('cell-1/known/1/full/01.snap')).toBe(true);
  });

  it('removes what it is told, and does not mind what is gone already', async () => {
    const { objects, put } = world();
    const [gone, stays] = ['cell-1/removed/1/full/01.snap', 'cell-1/removed/1/full/02.snap'];
    await put(gone!, stays!);
    await objects.remove([gone!, 'cell-1/removed/1/full/00.snap']);
    await objects.remove([gone!]);
    await objects.remove([]);
    expect(await names('cell-1/removed/')).toEqual([stays]);
  });
}

describe('BackupObjects fake', () => {
  const objects = new SimBucket();
  backupObjectsContract(() => ({
    objects,
    put: async (...keys) => {
      for (const key of keys) objects.objects.set(key, 1);
    },
  }));
});

describe('BackupObjects in S3, with the rights of the backup function', () => {
  let world: Awaited<ReturnType<typeof startBackupBucket>>;
  beforeAll(async () => {
    world = await startBackupBucket();
  });
  afterAll(() => world.stop());
  backupObjectsContract(() => world);

  it('lists more than one page, and removes more than S3 takes at once', async () => {
    const { objects, put } = world;
    const keys = Array.from({ length: 1_050 }, (_, n) => `cell-1/many/1/delta/${String(n).padStart(5, '0')}`);
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map((key) => put(key)));
    }
    expect((await objects.list('cell-1/many/')).map(({ key }) => key)).toEqual(keys);
    await objects.remove(keys);
    expect(await objects.list('cell-1/many/')).toEqual([]);
  });

  it('leaves former versions: what was let go can be taken back for a while', async () => {
    const { objects, put, admin, Bucket } = world;
    await put('cell-1/back/1/full/01.snap');
    await objects.remove(['cell-1/back/1/full/01.snap']);
    const { Versions } = await admin.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'cell-1/back/' }));
    expect(Versions).toHaveLength(1);
  });

  it('reaches no other cell, and names the first key that was refused', async () => {
    const { objects, put } = world;
    await put('cell-2/acme/1/full/01.snap', 'cell-1/acme/1/full/01.snap');
    await expect(objects.list('cell-2/acme/')).rejects.toMatchObject({ code: 'access-denied' });
    const both = ['cell-1/acme/1/full/01.snap', 'cell-2/acme/1/full/01.snap'];
    await expect(objects.remove(both)).rejects.toMatchObject({
      code: 'access-denied',
      retryable: false,
      message: expect.stringContaining('cell-2/acme/1/full/01.snap'),
    });
    expect(await objects.list('cell-1/acme/')).toEqual([]);
  });

  it('says when it is worth trying again', async () => {
    const { objects, endpoint } = world;
    const { faults } = endpoint;
    for (const operation of ['ListObjectsV2', 'DeleteObjects']) {
      const id = faults.add({ match: { service: 's3', operation }, action: { type: 'throttle' }, times: 1 });
      expect(id).toBeGreaterThan(0);
      const call = operation === 'ListObjectsV2' ? objects.list('cell-1/') : objects.remove(['cell-1/x']);
      await expect(call).rejects.toMatchObject({ retryable: true });
    }
  });
});
