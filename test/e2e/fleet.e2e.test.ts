import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Rollout } from '../../lambdas/core/model/rollout.ts';
import { minorOf } from '../../node-image/binaries/versions.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { offered } from './support/offered.ts';
import { calm } from './support/recovery-times.ts';
import { timelineOf } from './support/timeline.ts';
import { until } from './support/until.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
  const [, older = ''] = await offered(cloud, '3.6');
  const [, old = ''] = await offered(cloud, '3.5');
  await Promise.all([
    ...['amber', 'birch', 'cedar'].map((name) => cloud.create(name, { members: 1, version: older })),
    ...['daisy', 'elder'].map((name) =>
      cloud.create(name, { members: 1, version: old, quorumLossConfirmSeconds: 600 }),
    ),
  ]);
});
afterAll(() => cloud?.dispose());

async function fleet(command: string, ...args: string[]): Promise<Rollout> {
  const { code, stdout, stderr } = await cloud.cliBelow('fleet', command, ...args, '--json');
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout).rollout;
}

const ended = () =>
  until(
    'the fleet patch to end',
    async () => {
      const now = await fleet('status');
      return now.state !== 'running' && now;
    },
    { deadlineMs: 180_000, everyMs: 1_000 },
  );

test('a release reaches the canary first, then everybody of its minor, and nobody else', async () => {
  const [version = ''] = await offered(cloud, '3.6');
  const begun = await fleet('patch', '--version', '3.6', '--canary', 'cedar', '--bake-minutes', '0');
  expect(begun).toMatchObject({ state: 'running', version, wave: 0 });
  const done = await ended();
  expect(done).toMatchObject({ state: 'done', patched: 3, passedOver: 2, held: [], patching: [] });
  const asked = await Promise.all(
    ['amber', 'birch', 'cedar'].map(async (name) => {
      const tenant = await calm(cloud, name);
      expect(tenant.members.map((member) => member.version)).toEqual([version]);
      const line = (await timelineOf(cloud, name)).find(({ message }) => message.includes('by fleet patch'));
      return { name, at: line?.at ?? '' };
    }),
  );
  expect(asked.sort((a, b) => (a.at < b.at ? -1 : 1))[0]?.name).toBe('cedar');
  for (const name of ['daisy', 'elder']) expect(minorOf((await cloud.tenant(name)).spec.version)).toBe('3.5');
});

test('it stops by itself when a tenant that it has patched is not well, and says why; the next one is left alone', async () => {
  const [version = '', older] = await offered(cloud, '3.5');
  await fleet('patch', '--version', version, '--canary', 'daisy', '--bake-minutes', '60');
  await until('the canary to be patched and watched', async () => (await fleet('status')).bakingSince, {
    deadlineMs: 120_000,
    everyMs: 1_000,
  });
  const [member] = (await cloud.tenant('daisy')).members;
  await cloud.cloud.hurt.act({ do: 'pause', member: member!.name });
  const stopped = await ended();
  expect(stopped).toMatchObject({ state: 'stopped', stopped: { by: 'etcd-nanny' } });
  expect(stopped.stopped?.reason).toContain('daisy');
  await cloud.cloud.hurt.act({ do: 'heal', member: member!.name });
  const elder = await cloud.tenant('elder');
  expect([elder.spec.version, elder.operation]).toEqual([older, null]);
  await calm(cloud, 'daisy');
});
