import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import type { ChaosAction } from '../../local/chaos/actions.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { betweenBackups, proving } from './support/proving.ts';
import { printTimelines, timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = betweenBackups('faulty');
const resource = `/${tenantId}/`;

let cloud: TestCloud;
let load: Load;
const backups = proving(() => cloud, tenantId);

beforeAll(async () => {
  cloud = await testCloud();
  await cloud.create(tenantId, { volume: 'ephemeral', unreachableSeconds: 60 });
  load = await startLoad(cloud, tenantId, { perSecond: 50 });
  expect(await backups.now('backups')).toMatchObject({ state: 'succeeded' });
  await backups.shipped(1, 1);
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') return printTimelines(cloud, [tenantId]);
});
afterAll(async () => {
  await cloud?.cloud.hurt.act({ do: 'clear' });
  await load?.stop().catch(() => {});
  await cloud?.dispose();
});

const lines = async () => (await timelineOf(cloud, tenantId)).map(({ message }) => message);
/** Every full backup that is listed is whole and has its manifest; nothing else lies there. */
async function expectNothingHalf(): Promise<void> {
  // Manifests first: an object is published before its manifest.
  const listed = (await backups.list()).backups.map(({ key }) => key);
  const keys = await backups.keys();
  expect(listed.filter((key) => !keys.includes(key))).toEqual([]);
}

describe.each<{ what: string; strike: ChaosAction; says: RegExp; fails: boolean }>([
  {
    what: 'S3 answers 503',
    strike: { do: 'throttle', service: 's3', resource },
    says: /SlowDown|reduce your request rate/,
    fails: true,
  },
  {
    what: 'S3 denies access',
    strike: { do: 'deny', service: 's3', resource },
    says: /AccessDenied|Access Denied|not authorized/i,
    fails: true,
  },
  {
    what: 'connections to S3 break in the middle of an upload',
    strike: { do: 'cut-s3', resource, afterBytes: 300 },
    says: /socket hang up|ECONNRESET|EPIPE|cut off|closed/i,
    fails: true,
  },
  {
    what: 'S3 takes 40 s for a call',
    strike: { do: 'slow-s3', resource, ms: 40_000 },
    says: /stored slowly/,
    fails: false,
  },
])('$what', ({ what, strike, says, fails }) => {
  let struckAt: number;
  let asked: Operation;
  let before: number;
  let writes: number;
  const operation = () =>
    cloud.api.call<Operation>({
      method: 'GET',
      path: `/v1/tenants/${tenantId}/operations/${asked.operationId}`,
    });
  beforeAll(async () => {
    await backups.becomes('BackupFresh', 'True');
    before = (await backups.list()).backups.length;
    writes = load.figures().acknowledged;
    await cloud.cloud.hurt.act(strike);
    struckAt = Date.now();
    const path = `/v1/tenants/${tenantId}/backups`;
    asked = (await cloud.api.call<{ operation: Operation }>({ method: 'POST', path })).operation;
  });
  afterAll(async () => {
    await cloud.cloud.hurt.act({ do: 'clear' });
  });

  test('is told: by the condition, on the timeline, and where backups are listed', async () => {
    const condition = await backups.becomes('BackupFresh', 'False', { reason: 'StreamBehind' });
    console.log(
      `${what}: told after ${((Date.now() - struckAt) / 1_000).toFixed(1)} s: ${condition.message}`,
    );
    expect(condition.message).toMatch(says);
    expect((await lines()).findLast((line) => line.startsWith('BackupFresh is False'))).toMatch(says);
    expect((await backups.list()).trouble).toMatch(fails ? says : /./);
    expect(await cloud.tenant(tenantId)).toMatchObject({ phase: 'available', remediation: null });
  });

  if (fails)
    test('the backup that was asked for says why it is not there; nothing half is listed', async () => {
      const waiting = await until('the operation to tell the fault', async () => {
        const now = await operation();
        return now.steps.some(({ detail }) => says.test(detail)) && now;
      });
      expect(waiting.endedAt).toBeUndefined();
      expect((await backups.list()).backups).toHaveLength(before);
      await expectNothingHalf();
    });

  test('when it is over the backup is taken, what waited is shipped, and the condition returns', async () => {
    await cloud.cloud.hurt.act({ do: 'clear' });
    const healedAt = Date.now();
    const done = await cloud.ended(asked, 180_000);
    expect(done.state).toBe('succeeded');
    await backups.becomes('BackupFresh', 'True');
    console.log(`${what}: all is well ${((Date.now() - healedAt) / 1_000).toFixed(1)} s after it is over`);
    // Another may have come by itself meanwhile: by the hour, or for changed users.
    expect((await backups.list()).backups.length).toBeGreaterThan(before);
    await expectNothingHalf();
    expect((await lines()).findLast((line) => line.startsWith('BackupFresh is'))).toContain('is True');
  });

  test('writes were not disturbed', () => {
    const { acknowledged, failed, longestGapMs } = load.figures();
    const perSecond = (acknowledged - writes) / ((Date.now() - struckAt) / 1_000);
    console.log(`${what}: ${perSecond.toFixed(0)} writes a second, longest gap ${longestGapMs} ms`);
    expect(failed).toBe(0);
    expect(perSecond).toBeGreaterThan(30);
  });
});

test('after all of it the chain is whole, and a drill proves it', async () => {
  const [first] = (await backups.list()).backups;
  await backups.shipped(200, first!.revision);
  const drill = await backups.now('drill');
  expect([drill.state, drill.message]).toEqual(['succeeded', expect.stringContaining('is proven')]);
  const report = await load.stop();
  expect([report.failed, report.lost]).toEqual([[], []]);
});
