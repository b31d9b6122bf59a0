import { DeleteObjectCommand, GetObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planBackup } from '../../lambdas/backup/plan.ts';
import { readCatalogue } from '../../lambdas/core/backup/catalogue.ts';
import { retain } from '../../lambdas/core/backup/retention.ts';
import { backupPerformers } from '../../lambdas/core/perform-backup.ts';
import { S3Client as NannyS3 } from '../../node-image/src/s3/client.ts';
import { realTiming } from '../../node-image/src/timing.ts';
import { lostQuorum } from '../core/lost-quorum.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { simCell } from '../fakes/sim/world.ts';
import { user } from '../local/support/endpoint.ts';
import { startBackupBucket } from './backup-bucket.ts';
import { backup } from './tenant-record.ts';

const day = 86_400_000;
const lockDays = 30;

/** As lib/state-stack.ts makes the bucket with `backupObjectLockDays: 30`. */
const properties = {
  ObjectLockEnabled: true,
  ObjectLockConfiguration: {
    ObjectLockEnabled: 'Enabled',
    Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: lockDays } },
  },
  LifecycleConfiguration: {
    Rules: [{ Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 7 } }],
  },
};

let world: Awaited<ReturnType<typeof startBackupBucket>>;
let store: InMemoryTenantStore;
const now = new Date();
const old = (id: string, days: number) => {
  const contentAt = new Date(now.getTime() - days * day).toISOString();
  return backup('acme', id, { key: `cell-1/acme/1/full/${id}.snap`, revision: 1_000 - days, contentAt });
};
/** The newest, the one that the window begins with, and two that retention has no use for any more. */
const backups = [old('04', 0), old('03', 2), old('02', 43), old('01', 44)];
const kept = [backups[1]!.key, backups[0]!.key];

beforeEach(async () => {
  world = await startBackupBucket(properties);
  store = new InMemoryTenantStore({ now: () => now });
  for (const each of backups) await store.putBackup(each);
  await world.put(...backups.map(({ key }) => key));
});
afterEach(() => world.stop());

const versions = async () => {
  const { Versions = [] } = await world.admin.send(
    new ListObjectVersionsCommand({ Bucket: world.Bucket, Prefix: 'cell-1/acme/' }),
  );
  return Versions.flatMap(({ Key, VersionId }) => (Key && VersionId ? [{ Key, VersionId }] : []));
};

/** What the backup function does when pruning is due. @returns what it said */
async function prune(): Promise<string> {
  const { remediation: _, ...tenant } = lostQuorum({});
  const last = { ...backups[0]!, startedAt: now.toISOString(), endedAt: now.toISOString() };
  const { backupId, incarnation, revision, bytes, reason, startedAt, contentAt, endedAt } = last;
  const record = {
    ...tenant,
    createdAt: new Date(now.getTime() - 100 * day).toISOString(),
    members: {},
    backups: { last: { backupId, incarnation, revision, bytes, reason, startedAt, contentAt, endedAt } },
  };
  const catalogue = await readCatalogue({ store, objects: world.objects }, 'cell-1', 'acme');
  const observation = { tasks: {}, nannies: {}, names: [], catalogue };
  const decision = planBackup(record, observation, now);
  if (decision.kind !== 'step' || decision.step.kind !== 'prune-backups') return JSON.stringify(decision);
  const performers = backupPerformers({ cell: simCell, store, objects: world.objects } as never);
  const { message } = await performers['prune-backups']!(decision.step, { tenant: record, observation, now });
  return message;
}

describe('with Object Lock', () => {
  test('retention hides what it lets go, and destroys nothing; what it has hidden is gone for the product', async () => {
    expect(await prune()).toContain('2 full backups');
    expect((await world.objects.list('cell-1/acme/')).map(({ key }) => key)).toEqual(kept);
    expect((await store.listBackups('acme')).map(({ backupId }) => backupId)).toEqual(['04', '03']);
    // Again, and there is nothing left to do: the lock makes no round fail.
    expect(await prune()).toContain('0 full backups');
    const all = await versions();
    expect(all.map(({ Key }) => Key).sort()).toEqual(backups.map(({ key }) => key).sort());
    for (const { Key, VersionId } of all) {
      const { Body } = await world.admin.send(new GetObjectCommand({ Bucket: world.Bucket, Key, VersionId }));
      expect(await Body!.transformToString()).toBe('content');
    }
  });

  test('the rights of the backup function take no version away, with or without the bypass', async () => {
    await prune();
    for (const version of await versions()) {
      for (const BypassGovernanceRetention of [undefined, true]) {
        const command = new DeleteObjectCommand({
          Bucket: world.Bucket,
          ...version,
          BypassGovernanceRetention,
        });
        await expect(world.client.send(command)).rejects.toMatchObject({ name: 'AccessDenied' });
      }
    }
    expect(await versions()).toHaveLength(4);
  });

  test('what is hidden goes by itself when lock and lifecycle rule have passed; what is kept stays', async () => {
    await prune();
    const bucket = world.buckets.get(world.Bucket)!;
    bucket.expire(Date.now() + (lockDays - 1) * day);
    expect(await versions()).toHaveLength(4);
    bucket.expire(Date.now() + (lockDays + 1) * day);
    expect((await versions()).map(({ Key }) => Key)).toEqual(kept);
  });

  test('nannies write below it: whole objects and parts come with what such a bucket asks for, and never over one', async () => {
    const s3 = new NannyS3({
      endpoint: world.endpoint.url,
      region: 'us-east-1',
      credentials: async () => ({ ...user, sessionToken: '' }),
      timing: realTiming,
    });
    const name = (key: string) => ({ bucket: world.Bucket, key: `cell-1/acme/1/${key}` });
    await s3.put(name('delta/a'), Buffer.from('segment'), {});
    const upload = await s3.createUpload(name('full/09.snap'), {});
    const etag = await s3.uploadPart(name('full/09.snap'), upload, 1, Buffer.from('snapshot'));
    await s3.completeUpload(name('full/09.snap'), upload, [etag]);
    await expect(s3.put(name('delta/a'), Buffer.from('other'), {})).rejects.toMatchObject({
      code: 'PreconditionFailed',
    });
    s3.close();
    const listed = (await world.objects.list('cell-1/acme/')).map(({ key }) => key);
    expect(listed).toEqual(expect.arrayContaining([name('delta/a').key, name('full/09.snap').key]));
  });
});

test('the premise: retention lets go of the two', () => {
  const objects = backups.map(({ key, bytes }) => ({ key, bytes }));
  const { drop } = retain({ backups, deltas: {}, objects }, 24, now);
  expect(drop.backups.map(({ backupId }) => backupId).sort()).toEqual(['01', '02']);
});
