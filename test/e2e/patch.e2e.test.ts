import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { StackTemplate } from '../../local/cloudformation/assembly.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { type Load, startLoad } from './support/load.ts';
import { expectNothingLost } from './support/nothing-lost.ts';
import { offered } from './support/offered.ts';
import { expectHealedFirst, namesOf, operating, zonesOf } from './support/operating.ts';
import { calm, type RecoveryTimes, recoveryTimes } from './support/recovery-times.ts';
import { printTimelines } from './support/timeline.ts';
import { until } from './support/until.ts';

const tenantId = 'patched';
/** A member that cannot be reached for a moment is not what this topic is about. */
const spec = { version: '3.5', unreachableSeconds: 60 };

let cloud: TestCloud;
let load: Load;
let times: RecoveryTimes<'patch'>;
const { change, command, lines, lose } = operating(() => cloud, tenantId);

/** What is deployed at first: another image, as far as ECS can tell. */
function olderImage({ template }: StackTemplate): void {
  for (const resource of Object.values<{ Type: string; Properties: TaskDefinition }>(template.Resources)) {
    if (resource.Type !== 'AWS::ECS::TaskDefinition') continue;
    for (const container of resource.Properties.ContainerDefinitions) {
      container.Environment = [...(container.Environment ?? []), { Name: 'IMAGE_OF', Value: 'last month' }];
    }
  }
}
interface TaskDefinition {
  readonly ContainerDefinitions: { Environment?: { Name: string; Value: unknown }[] }[];
}

beforeAll(async () => {
  cloud = await testCloud({ edit: olderImage });
  times = recoveryTimes(cloud, 'patch');
  await cloud.create(tenantId, spec);
  await cloud.restart({ edit: () => undefined });
  await calm(cloud, tenantId);
  load = await startLoad(cloud, tenantId);
});
afterEach(({ task }) => {
  if (task.result?.state === 'fail') return printTimelines(cloud, [tenantId]);
});
afterAll(async () => {
  await load?.stop();
  await cloud?.dispose();
});

const versions = async (): Promise<(string | null)[]> =>
  (await cloud.tenant(tenantId)).members.map(({ version }) => version);

const automation = (what: 'pause' | 'resume') =>
  cloud.api.call({
    method: 'POST',
    path: `/v1/tenants/${tenantId}/${what}`,
    ...(what === 'pause' && { body: {} }),
  });

/** A member of those that have not been changed yet, once `changed` of them have been. */
const oneOfTheRest = (version: string, changed: number) =>
  until(`${changed} members to run ${version}`, async () => {
    const { members } = await cloud.tenant(tenantId);
    const rest = members.filter(({ made }) => made?.version !== version);
    return members.length - rest.length === changed && rest.find(({ isLeader }) => !isLeader);
  });

test('members of an older image are renewed by the command that patches', async () => {
  const before = await cloud.tenant(tenantId);
  const ask = async () => (await command('patch', tenantId)).operation;
  const { tenant, lap } = await times.operate({ load, scenario: 'image', ask });
  expect(lap.failures).toEqual([]);
  expect(namesOf(tenant).filter((name) => namesOf(before).includes(name))).toEqual([]);
  const images = (members: typeof before.members) => new Set(members.map(({ made }) => made?.taskDefinition));
  expect(images(tenant.members).size).toBe(1);
  expect(images(tenant.members)).not.toEqual(images(before.members));
  expect(zonesOf(tenant)).toEqual(zonesOf(before));
});

test('releases that are known to be bad and steps over a minor are refused, and nothing is changed', async () => {
  for (const version of ['3.4.23', '3.5.2', '3.7'])
    await expect(change({ version })).rejects.toThrow(/3\.\d/);
  expect((await cloud.tenant(tenantId)).operation).toBeNull();
});

test('3.5 → 3.6 by surge', async () => {
  const [version] = (await offered(cloud, '3.6')).slice(-1);
  const { lap } = await times.operate({ load, scenario: '3.5 → 3.6', ask: () => change({ version }) });
  expect(lap.failures).toEqual([]);
  expect(await versions()).toEqual([version, version, version]);
});

test('within a minor by surge', async () => {
  const [newest, older] = await offered(cloud, '3.6');
  expect(older, 'two versions of 3.6 to be at hand').toBeDefined();
  const ask = async () => (await command('patch', tenantId)).operation;
  const { lap } = await times.operate({ load, scenario: 'within 3.6', ask });
  expect(lap.failures).toEqual([]);
  expect(await versions()).toEqual([newest, newest, newest]);
});

test('a minor step is refused while a member is not healthy', async () => {
  const { members } = await cloud.tenant(tenantId);
  const member = members.find(({ isLeader }) => !isLeader)!.name;
  await cloud.cloud.hurt.act({ do: 'pause', member });
  const healthy = async () => {
    const tenant = await cloud.tenant(tenantId);
    return tenant.members.find(({ name }) => name === member)?.healthy;
  };
  await until(`${member} to be missed`, async () => (await healthy()) === false);
  await expect(change({ version: '3.7' })).rejects.toThrow(/needs every member healthy/);
  await cloud.cloud.hurt.act({ do: 'heal', member });
  await until(`${member} to be back`, healthy);
  await calm(cloud, tenantId);
});

test('3.6 → 3.7 by surge, a member lost meanwhile: it heals first, then goes on', async () => {
  const [version] = await offered(cloud, '3.7');
  let victim = '';
  const { lap } = await times.operate({
    load,
    scenario: '3.6 → 3.7, a member lost with its disk meanwhile',
    ask: () => change({ version }),
    async meanwhile() {
      victim = (await oneOfTheRest(version!, 1)).name;
      await lose(victim);
    },
  });
  expect(lap.failures).toEqual([]);
  expect(await versions()).toEqual([version, version, version]);
  expectHealedFirst(await lines(), victim, /^Members wanted/);
});

test('3.7 → 3.6 in place, a member lost meanwhile: cancelled, replaced, then gone on with', async () => {
  const [version] = await offered(cloud, '3.6');
  let victim = '';
  const { lap } = await times.operate({
    load,
    scenario: '3.7 → 3.6, a member lost with its disk meanwhile',
    ask: () => change({ version }),
    async meanwhile() {
      await oneOfTheRest(version!, 1);
      // Between two swaps: a member lost while another is swapped is two at once, and no quorum for that time.
      await automation('pause');
      const between = await until('nobody to be swapped', async () => {
        const { members, operation } = await cloud.tenant(tenantId);
        const still = /paused/i.test(operation?.message ?? '') && members.every(({ healthy }) => healthy);
        // A follower, whatever it runs by now: there has to be somebody left to be swapped, and that is the leader.
        return still && members.find(({ isLeader }) => !isLeader);
      });
      victim = between.name;
      await lose(victim);
      await automation('resume');
    },
  });
  expect(lap.failures).toEqual([]);
  expect(await versions()).toEqual([version, version, version]);
  const told = await lines();
  expectHealedFirst(told, victim, /runs etcd .* on the same disk/);
  // With a downgrade enabled nobody can join: it is cancelled before, and enabled anew when all are there. That is needless
  // if a second member was swapped by then: etcd's own version cannot rise, and the newcomer comes with the older one.
  const last = (what: RegExp) => told.findLastIndex((line) => what.test(line));
  const [cancelled, joined] = [last(/^Downgrade to 3\.6\.\d+: cancel/), last(/is a learner of the cluster/)];
  expect(cancelled).toBeGreaterThan(-1);
  expect(joined).toBeGreaterThan(cancelled);
  const newcomer = told[joined]!.split(' ')[0]!;
  const swapped = told.some((line) => line.startsWith(`${newcomer} runs etcd`));
  expect(last(/^Downgrade to 3\.6\.\d+: enable/) > last(/ votes\.$/)).toBe(swapped);
});

test('3.6 → 3.5 in place: same members, same disks', async () => {
  const before = await cloud.tenant(tenantId);
  const [version] = await offered(cloud, '3.5');
  const { tenant, lap } = await times.operate({
    load,
    scenario: '3.6 → 3.5',
    ask: () => change({ version }),
  });
  expect(lap.failures).toEqual([]);
  expect(await versions()).toEqual([version, version, version]);
  expect(namesOf(tenant)).toEqual(namesOf(before));
  expect(tenant.members.map(({ taskArn }) => taskArn)).toEqual(before.members.map(({ taskArn }) => taskArn));
});

test('nothing acknowledged was lost on the way, and every read fits one order', () =>
  expectNothingLost(load));

test('the figures are kept', () => times.finish());
