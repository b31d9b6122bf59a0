import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { everythingGone } from './support/gone.ts';
import { inPool } from './support/pool.ts';
import { askAws, problemsOf, type Truth } from './support/truth.ts';
import { until } from './support/until.ts';

/**
 * The function dies before and after each AWS call that it makes; of reads, which change nothing, before each. Each
 * point has a tenant of its own, and the rules are bound to the tenant by the event that the function works on, so that
 * many of them run side by side: the seconds for which a dead function holds its lease pass for all of them together.
 *
 * Time lapse: a failed message comes back after one second (`retryAfterSeconds`) instead of the queue's 70 s. The lease
 * is waited for as it is.
 */
const retryAfterSeconds = 1;
const tenantsAtOnce = { most: 12, least: 5 };
/** A request that a busy machine did not answer in time is sent again: all of them may be. */
const patienceMs = 280_000;
/** About five minutes where nothing else runs; most of it waits for leases and cores. */
const stormMs = 1_500_000;
const patiently = <T>(what: string, call: () => Promise<T>) => until(what, call, { deadlineMs: patienceMs });

type When = 'crash-before' | 'crash-after';
type FunctionName = 'create' | 'join';
interface Point {
  readonly function: FunctionName;
  readonly operation: string;
  readonly nth: number;
  readonly when: When;
  readonly members: number;
}
type Counts = Readonly<Record<string, number>>;

/** How often these are called depends on how fast the members come up. All others are called equally often each time. */
const repeated = new Set(['GetItem', 'PutItem', 'DescribeTasks', 'SendMessage']);
/** A death next to a read that is only repeated is one next to the write before or after it; writes have no such twin. */
const writes = new Set(['PutItem', 'SendMessage']);

let cloud: TestCloud;
let aws: Truth;
const clean: Record<FunctionName, Record<1 | 3, Counts>> = {
  create: { 1: {}, 3: {} },
  join: { 1: {}, 3: {} },
};

beforeAll(async () => {
  cloud = await testCloud();
  aws = askAws(cloud);
  // The first tenant warms the functions up: what is recorded then is the shortest story there is.
  await cloud.create('warm-up', { members: 1 });
  for (const members of [1, 3] as const) {
    const tenantId = `clean-${members}`;
    await cloud.create(tenantId, { members });
    clean.create[members] = countCalls('create', tenantId);
    clean.join[members] = countCalls('join', tenantId);
  }
});
afterAll(async () => {
  aws?.close();
  await cloud?.dispose();
});

function countCalls(name: FunctionName, tenantId: string): Counts {
  const counts: Record<string, number> = {};
  for (const { operation } of cloud.cloud.faults.calls({ function: name, event: tenantId }))
    counts[operation] = (counts[operation] ?? 0) + 1;
  return counts;
}

/** Calls that change nothing. */
const isRead = (operation: string): boolean => /^(Get|Describe|List|Decrypt)/.test(operation);
/** Before and after; what a read leaves behind is the same either way. */
const around = (point: Omit<Point, 'when'>): Point[] => {
  const times: readonly When[] = isRead(point.operation) ? ['crash-before'] : ['crash-before', 'crash-after'];
  return times.map((when) => ({ ...point, when }));
};
const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);

const pathOf = (tenantId: string) => `/v1/tenants/${tenantId}`;

const startCreate = async (tenantId: string, members: number): Promise<Operation> => {
  const body = { spec: { members } };
  const { operation } = await patiently(`PUT of ${tenantId}`, () =>
    cloud.api.call<{ operation: Operation }>({ method: 'PUT', path: pathOf(tenantId), body }),
  );
  return operation;
};

/** The operation has ended, nothing is being worked on, and everybody tells the same. */
async function converged(operation: Operation, members: number): Promise<string[]> {
  let problems = ['the create has not ended'];
  const calm = until(
    `${operation.tenantId} to be as it should`,
    async () => {
      const tenant = await cloud.tenant(operation.tenantId);
      if (tenant.phase !== 'available' || tenant.operation !== null) {
        problems = [
          `phase ${tenant.phase}, operation ${tenant.operation?.state}: ${tenant.operation?.message}`,
        ];
        return false;
      }
      problems = await problemsOf(cloud, aws, operation, members);
      return problems.length === 0;
    },
    { deadlineMs: patienceMs, everyMs: 3_000 },
  );
  return calm.then(
    () => [],
    () => problems,
  );
}

const remove = (tenantId: string) =>
  patiently(`DELETE of ${tenantId}`, () =>
    cloud.api.call({ method: 'DELETE', path: pathOf(tenantId), query: { finalBackup: 'false' } }),
  );

let number = 0;
/** One create with one death. */
async function die(point: Point): Promise<{ hit: boolean; problems: string[] }> {
  number += 1;
  const tenantId = `crash-${String(number).padStart(4, '0')}`;
  const { operation, nth, when } = point;
  const { faults } = cloud.cloud;
  const rule = faults.add({
    match: { function: point.function, event: tenantId, operation, nth },
    action: { type: when },
  });
  const wanted = await startCreate(tenantId, point.members);
  const problems = await converged(wanted, point.members);
  const hit = faults.rules().some(({ id, struck }) => id === rule && struck === 1);
  const made = countCalls(point.function, tenantId)[operation] ?? 0;
  if (!hit && !repeated.has(operation)) problems.push('it did not die');
  if (!hit && made >= nth) problems.push(`it did not die, though it called ${operation} ${made} times`);
  await remove(tenantId);
  return { hit, problems };
}

const nameOf = ({ when, operation, nth, members, function: name }: Point): string =>
  `${name} of ${members}, ${when} ${operation} ${nth}`;

/** All points; the last write of a kind draws the next one, until a create comes to its end unhurt. */
async function dieAtAll(points: readonly Point[]): Promise<{ hit: number; missed: string[] }> {
  cloud.cloud.faults.messages = { duplicate: false, delaySeconds: 0, retryAfterSeconds };
  const [failures, missed] = [[] as string[], [] as string[]];
  let hits = 0;
  // Those first that no other point stands for.
  const rank = ({ operation }: Point) => (repeated.has(operation) ? (writes.has(operation) ? 1 : 2) : 0);
  const queue = [...points].sort((a, b) => rank(a) - rank(b));
  await inPool(queue, tenantsAtOnce, async (point) => {
    const { hit, problems } = await die(point);
    if (problems.length > 0) failures.push(`${nameOf(point)}: ${problems.join('; ')}`);
    console.log(`${nameOf(point)}: ${hit ? 'died' : 'was done before'}; ${queue.length} to go`, ...problems);
    if (hit) hits += 1;
    else missed.push(nameOf(point));
    const last = clean[point.function][3][point.operation] ?? 0;
    if (hit && point.function === 'create' && writes.has(point.operation) && point.nth >= last)
      queue.push({ ...point, nth: point.nth + 1, members: 3 });
  });
  expect(failures).toEqual([]);
  return { hit: hits, missed };
}

test('a clean create calls exactly what its members need', () => {
  for (const members of [1, 3] as const) {
    const { create, join } = { create: clean.create[members], join: clean.join[members] };
    expect(create).toMatchObject({
      RunTask: members,
      RegisterInstance: members,
      CreateService: 1,
      Encrypt: 2,
    });
    expect(create).toMatchObject({ Decrypt: 1 });
    expect(join).toMatchObject({ DescribeTasks: expect.any(Number), Decrypt: expect.any(Number) });
  }
  console.log('calls of a clean create', JSON.stringify(clean));
});

test(
  'a create function that dies at any of its calls leaves the same healthy cluster and nothing over',
  async () => {
    // With one member where one member makes that call; with three where only they make it, and the first and the last
    // of each kind of call once more with three.
    const points = Object.entries(clean.create[3]).flatMap(([operation, count]) => {
      const single = Math.min(count, clean.create[1][operation] ?? 0);
      const point = { function: 'create', operation } as const;
      const again = upTo(single).filter((nth) => nth === 1 || nth === count);
      return [
        ...[...again, ...upTo(count, single + 1)].flatMap((nth) => around({ ...point, nth, members: 3 })),
        ...upTo(single).flatMap((nth) => around({ ...point, nth, members: 1 })),
      ];
    });
    expect(points.length).toBeGreaterThan(60);
    const { hit, missed } = await dieAtAll(points);
    console.log(
      `create died ${hit} times and always came to the same end; ${missed.length} creates were done before`,
    );
    console.log(missed.join('\n'));
    expect(hit).toBeGreaterThan(points.length / 2);
  },
  stormMs,
);

test(
  'a join function that dies at any of its calls does too',
  async () => {
    const points = Object.entries(clean.join[1]).flatMap(([operation, count]) => [
      ...upTo(count).flatMap((nth) => around({ function: 'join', operation, nth, members: 1 })),
      ...(writes.has(operation) ? upTo(Math.min(3, clean.join[3][operation] ?? 0)) : []).flatMap((nth) =>
        around({ function: 'join', operation, nth, members: 3 }),
      ),
    ]);
    expect(points.length).toBeGreaterThan(10);
    const { hit, missed } = await dieAtAll(points);
    console.log(`join died ${hit} times; not reached: ${missed.join(', ') || 'none'}`);
    expect(hit).toBeGreaterThan(points.length / 2);
  },
  stormMs,
);

test('every message doubled and late: the same cluster, and the messages come to an end', async () => {
  cloud.cloud.faults.clear();
  cloud.cloud.faults.messages = { duplicate: true, delaySeconds: 2 };
  const creates = await Promise.all(['doubled-1', 'doubled-2'].map((tenantId) => startCreate(tenantId, 3)));
  const problems = await Promise.all(creates.map((operation) => converged(operation, 3)));
  expect(problems.flat()).toEqual([]);
  await Promise.all(creates.map(({ tenantId }) => remove(tenantId)));
});

test('all tenants deleted: no task, process, disk, name or record is left, and no message was given up', async () => {
  cloud.cloud.faults.clear();
  await Promise.all(['warm-up', 'clean-1', 'clean-3'].map(remove));
  await everythingGone(cloud, aws);
});
