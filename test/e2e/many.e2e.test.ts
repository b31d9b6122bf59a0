import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CliError } from '../../bin/cli/errors.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import { etcd3Client, issueCredentials } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { everythingGone } from './support/gone.ts';
import { residentMiB } from './support/memory.ts';
import { inPool } from './support/pool.ts';
import { workingOn } from './support/processes.ts';
import { askAws, problemsOf, type Truth } from './support/truth.ts';
import { until } from './support/until.ts';

/** What the machine of the project's budget has. */
const memoryBudgetMiB = 24 * 1024;
const createMs = 280_000;
const checksAtOnce = { most: 4, least: 2 };

let cloud: TestCloud;
let aws: Truth;
beforeAll(async () => {
  cloud = await testCloud();
  aws = askAws(cloud);
});
afterAll(async () => {
  aws?.close();
  await cloud?.dispose();
});

/** What a busy machine did not answer in time is asked again: the same PUT is the same operation, refusals stay. */
async function patiently<T>(what: string, call: () => Promise<T>): Promise<T> {
  const outcome = await until<{ value: T } | { refusal: unknown }>(
    what,
    () =>
      call().then(
        (value) => ({ value }),
        (error: unknown) => {
          const silent =
            error instanceof CliError && ['unreachable', 'unexpected-answer'].includes(error.code);
          if (silent) throw error;
          return { refusal: error };
        },
      ),
    { deadlineMs: createMs },
  );
  if ('refusal' in outcome) throw outcome.refusal;
  return outcome.value;
}

const pathOf = (tenantId: string) => `/v1/tenants/${tenantId}`;
const put = async (tenantId: string, spec: Record<string, unknown>): Promise<Operation> => {
  const answer = await patiently(`PUT of ${tenantId}`, () =>
    cloud.api.call<{ operation: Operation }>({ method: 'PUT', path: pathOf(tenantId), body: { spec } }),
  );
  return answer.operation;
};
const remove = (tenantId: string) =>
  patiently(`DELETE of ${tenantId}`, () =>
    cloud.api.call({ method: 'DELETE', path: pathOf(tenantId), query: { finalBackup: 'false' } }),
  );

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);

/** Creates all at the same moment. @returns seconds from the first request to the last cluster that serves */
async function createAll(tenantIds: readonly string[], members: number): Promise<[Operation[], number]> {
  const begin = Date.now();
  const operations = await Promise.all(
    tenantIds.map(async (tenantId) => cloud.ended(await put(tenantId, { members }), createMs)),
  );
  return [operations, (Date.now() - begin) / 1000];
}

async function expectHealthy(operations: readonly Operation[], members: number): Promise<void> {
  const problems: Record<string, string[]> = {};
  await inPool([...operations], checksAtOnce, async (operation) => {
    const found = await problemsOf(cloud, aws, operation, members);
    if (found.length > 0) problems[operation.tenantId] = found;
  });
  expect(problems).toEqual({});
}

const clusterIds = (tenantIds: readonly string[]) =>
  Promise.all(tenantIds.map(async (tenantId) => (await cloud.tenant(tenantId)).clusterId));

describe('two creates of one tenant at the same moment', () => {
  const tenants = (prefix: string) => names(prefix, 4);

  test('with the same spec are one operation and make one cluster', async () => {
    const pairs = await Promise.all(
      tenants('same').map((id) => Promise.all([put(id, { members: 1 }), put(id, { members: 1 })])),
    );
    for (const [one, other] of pairs) expect(other.operationId).toBe(one.operationId);
    const operations = await Promise.all(pairs.map(([operation]) => cloud.ended(operation, createMs)));
    await expectHealthy(operations, 1);
  });

  test('with different specs: one wins, the other one is told 409, and the cluster is the winner’s', async () => {
    const sizes = [1, 3] as const;
    const races = await Promise.all(
      tenants('rival').map((id) => Promise.allSettled(sizes.map((members) => put(id, { members })))),
    );
    const winners = races.map((race) => {
      const lost = race.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      expect(lost).toHaveLength(1);
      expect(lost[0]).toBeInstanceOf(CliError);
      expect(lost[0]).toMatchObject({ code: 'still-creating' });
      const index = race.findIndex(({ status }) => status === 'fulfilled');
      return { members: sizes[index]!, operation: (race[index] as PromiseFulfilledResult<Operation>).value };
    });
    for (const { members, operation } of winners) {
      await cloud.ended(operation, createMs);
      await expectHealthy([operation], members);
    }
  });

  test('all of them deleted at once leave nothing', async () => {
    await Promise.all([...tenants('same'), ...tenants('rival')].map(remove));
    await everythingGone(cloud, aws);
  });
});

describe('20 different tenants at once', () => {
  const tenantIds = names('crowd', 20);

  test('all are created, and each is a cluster of its own', async () => {
    const [operations, seconds] = await createAll(tenantIds, 1);
    console.log(`20 tenants of 1 member: ${seconds.toFixed(1)} s from the first request to the last cluster`);
    await expectHealthy(operations, 1);
    expect(new Set(await clusterIds(tenantIds)).size).toBe(tenantIds.length);
    const bundles = await Promise.all(tenantIds.map((id) => issueCredentials(cloud, id)));
    expect(new Set(bundles.map(({ caBundle }) => caBundle)).size).toBe(tenantIds.length);
  });

  test('what one writes, no other sees', async () => {
    const clients = await Promise.all(tenantIds.map((id) => etcd3Client(cloud, id)));
    try {
      await Promise.all(clients.map((client, index) => client.put('owner').value(tenantIds[index]!)));
      await Promise.all(clients.map((client, index) => client.put(`of/${tenantIds[index]}`).value('mine')));
      const seen = await Promise.all(clients.map((client) => client.getAll().strings()));
      expect(seen).toEqual(tenantIds.map((id) => ({ owner: id, [`of/${id}`]: 'mine' })));
    } finally {
      for (const client of clients) client.close();
    }
  });

  test('all deleted at once: nothing is left', async () => {
    await Promise.all(tenantIds.map(remove));
    await everythingGone(cloud, aws);
  });
});

describe('10 tenants of 3 members at once', () => {
  const tenantIds = names('ten', 10);

  test('all are created, each healthy and a cluster of its own', async () => {
    const [operations, seconds] = await createAll(tenantIds, 3);
    console.log(
      `10 tenants of 3 members: ${seconds.toFixed(1)} s from the first request to the last cluster`,
    );
    await expectHealthy(operations, 3);
    expect(new Set(await clusterIds(tenantIds)).size).toBe(tenantIds.length);
  });

  test('nannies, etcds and the cloud together fit in 24 GiB', () => {
    const all = workingOn(cloud.stateDir);
    const running = (kind: 'etcd' | 'nanny') =>
      all.filter(({ command }) => command[0]?.endsWith('/etcd') === (kind === 'etcd')).map(({ pid }) => pid);
    const [etcds, nannies] = [running('etcd'), running('nanny')];
    expect([etcds.length, nannies.length]).toEqual([30, 30]);
    const [ofEtcds, ofNannies, ofCloud] = [etcds, nannies, [process.pid]].map(residentMiB) as [
      number,
      number,
      number,
    ];
    const total = ofEtcds + ofNannies + ofCloud;
    const each = (sum: number) => (sum / 30).toFixed(0);
    console.log(
      `30 members: ${total.toFixed(0)} MiB resident in all: etcd ${each(ofEtcds)} and nanny ${each(ofNannies)} MiB a member, the cloud with this test ${ofCloud.toFixed(0)} MiB`,
    );
    expect(Math.min(ofEtcds, ofNannies, ofCloud)).toBeGreaterThan(0);
    expect(total).toBeLessThan(memoryBudgetMiB);
  });

  test('all deleted at once: nothing is left', async () => {
    await Promise.all(tenantIds.map(remove));
    await everythingGone(cloud, aws);
  });
});
