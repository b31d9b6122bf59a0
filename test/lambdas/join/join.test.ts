import { beforeEach, describe, expect, test } from 'vitest';
import type { Member } from '../../../lambdas/core/model/member.ts';
import type { SimTask } from '../../fakes/sim/sim-ecs.ts';
import { untilHealthy, World } from '../../fakes/sim/world.ts';

const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };
const sessionOf = (task: SimTask): string => task.taskArn.split('/').at(-1)!;

let world: World;
let tasks: SimTask[];

/** Tasks run and have an address, but their nannies stay silent: the test speaks for them. */
async function launched(members: 1 | 3 = 3): Promise<void> {
  world = new World();
  world.ecs.onRunning = () => undefined;
  await world.createTenant('acme', { members });
  await world.settle(2);
  tasks = world.ecs.alive('acme');
}

const join = (task: SimTask, over: { body?: object; session?: string; ip?: string } = {}) =>
  world.callJoin(
    'join',
    { tenantId: 'acme', memberName: task.memberName, csrs, hasData: false, ...over.body },
    { session: over.session ?? sessionOf(task), sourceIp: over.ip ?? task.ip },
  );

/** Of a call that is kept for a while. */
async function held<T>(call: Promise<T>): Promise<T> {
  const [answer] = await Promise.all([call, world.settle(2)]);
  return answer;
}

const memberOf = async (task: SimTask): Promise<Member> =>
  (await world.store.get('acme'))!.members[task.memberName]!;

beforeEach(() => launched());

describe('join', () => {
  test('answers wait until all have joined, then gives all the same initial cluster', async () => {
    const [a, b, c] = tasks as [SimTask, SimTask, SimTask];
    const one = await held(join(a));
    expect(one.body).toMatchObject({ answer: 'wait', reason: '1 of 3 members have joined' });
    const two = await held(join(b));
    expect(two.body).toMatchObject({ answer: 'wait', reason: '2 of 3 members have joined' });
    const answers = [await join(c), await join(a), await join(b)].map((answer) => answer.body as never);
    const clusters = answers.map(({ etcdArguments }: { etcdArguments: string[] }) =>
      etcdArguments.filter((each) => each.startsWith('--initial-cluster')),
    );
    expect(answers).toMatchObject(Array(3).fill({ answer: 'boot', mode: 'new', incarnation: 1 }));
    expect(new Set(clusters.map(String)).size).toBe(1);
    for (const task of tasks)
      expect(String(clusters[0])).toContain(`${task.memberName}=https://${task.ip}:2380`);
  });

  test('keeps who came first until the last one has joined, and tells all of them at once', async () => {
    const [a, b, c] = tasks as [SimTask, SimTask, SimTask];
    const waiting = [join(a), join(b)];
    await world.settle(0.4);
    const answers = await held(Promise.all([...waiting, join(c)]));
    expect(answers.map(({ body }) => body)).toMatchObject(Array(3).fill({ answer: 'boot', mode: 'new' }));
  });

  test('three joins at the same instant fix one initial cluster', async () => {
    const answers = Promise.all(tasks.map((task) => join(task)));
    await world.settle(1);
    expect((await answers).every(({ status }) => status === 200)).toBe(true);
    const tenant = (await world.store.get('acme'))!;
    expect(tenant.incarnation.state).toBe('booting');
  });

  test('never answers new after the cluster has formed (S3), also to a member that has not started yet', async () => {
    const healthy = new World();
    await healthy.createTenant('acme');
    await untilHealthy(healthy, 'acme');
    world = healthy;
    for (const task of healthy.ecs.alive('acme')) {
      for (const hasData of [true, false]) {
        expect((await join(task, { body: { hasData } })).body).toMatchObject({
          answer: 'boot',
          mode: 'resume',
        });
      }
    }
  });

  test('resumes a disk that holds data while the cluster boots', async () => {
    await Promise.all([join(tasks[0]!), join(tasks[1]!), join(tasks[2]!), world.settle(1)]);
    expect((await join(tasks[0]!, { body: { hasData: true } })).body).toMatchObject({ mode: 'resume' });
  });

  test('tells on the timeline that a nanny was started again on its data', async () => {
    await Promise.all([join(tasks[0]!), join(tasks[1]!), join(tasks[2]!), world.settle(1)]);
    const told = async () =>
      (await world.store.listEvents('acme', { limit: 100 })).items.filter(({ message }) =>
        message.includes('was started again'),
      );
    await join(tasks[0]!);
    expect(await told()).toEqual([]);
    await join(tasks[0]!, { body: { hasData: true } });
    expect(await told()).toMatchObject([{ kind: 'seen', member: tasks[0]!.memberName }]);
  });

  test('asks to wait while the launch is not recorded yet', async () => {
    const tenant = (await world.store.get('acme'))!;
    const { name, zone, requestedAt } = tenant.members[tasks[0]!.memberName]!;
    await world.store.save(
      {
        ...tenant,
        recordVersion: tenant.recordVersion + 1,
        members: { ...tenant.members, [name]: { state: 'requested', name, zone, requestedAt } },
      },
      tenant.recordVersion,
    );
    expect((await join(tasks[0]!)).body).toMatchObject({ answer: 'wait' });
  });

  test('tells members that are not on record, and those of tenants that are gone, to leave', async () => {
    const stranger = await join(tasks[0]!, { body: { memberName: 'mnobody00' } });
    expect(stranger).toMatchObject({ status: 200, body: { answer: 'leave' } });
    const noTenant = await join(tasks[0]!, { body: { tenantId: 'other' } });
    expect(noTenant).toMatchObject({ status: 200, body: { answer: 'leave' } });
  });

  test('tells everybody to leave once the tenant is being deleted', async () => {
    await world.deleteTenant('acme');
    expect((await join(tasks[0]!)).body).toMatchObject({ answer: 'leave' });
  });
});

describe('join refuses', () => {
  test('a replay from another task of the same tenant', async () => {
    const [a, b] = tasks as [SimTask, SimTask];
    const answer = await join(a, { session: sessionOf(b), ip: b.ip });
    expect(answer.status).toBe(403);
    expect(answer.body).toMatchObject({
      code: 'not-this-task',
      detail: `The caller is task ${sessionOf(b)}, but member ${a.memberName} was launched as task ${sessionOf(a)}.`,
    });
    expect((await memberOf(a)).state).toBe('launching');
  });

  test('a task of another tenant', async () => {
    await world.createTenant('other');
    await world.settle(2);
    const foreign = world.ecs.alive('other')[0]!;
    const answer = await join(tasks[0]!, { session: sessionOf(foreign), ip: foreign.ip });
    expect(answer).toMatchObject({ status: 403, body: { code: 'not-this-task' } });
  });

  test('the right session from an address that is not the task’s', async () => {
    const answer = await join(tasks[0]!, { ip: '10.9.9.9' });
    expect(answer).toMatchObject({ status: 403 });
    expect((answer.body as { detail: string }).detail).toContain('10.9.9.9');
    expect((await memberOf(tasks[0]!)).state).toBe('launching');
  });

  test('later calls from another address than the one that joined', async () => {
    await held(join(tasks[0]!));
    expect(await join(tasks[0]!, { ip: tasks[1]!.ip })).toMatchObject({ status: 403 });
  });

  test('somebody who is no task at all', async () => {
    for (const session of ['', 'admin']) {
      expect(await join(tasks[0]!, { session })).toMatchObject({
        status: 403,
        body: { code: 'not-this-task' },
      });
    }
  });

  test('a bad certificate request, and makes no member of its sender', async () => {
    const answer = await join(tasks[0]!, { body: { csrs: { ...csrs, peer: 'bad' } } });
    expect(answer).toMatchObject({ status: 400, body: { problems: [{ field: 'csrs.peer' }] } });
    expect((await memberOf(tasks[0]!)).state).toBe('launching');
  });

  test('a task that ECS is stopping', async () => {
    world.ecs.end(tasks[0]!, 'gone', 60_000);
    expect((await join(tasks[0]!)).body).toMatchObject({ answer: 'leave' });
  });

  test.each([
    ['no JSON', '{', ['']],
    ['an empty document', {}, ['tenantId', 'memberName', 'csrs', 'hasData']],
    [
      'bad names and an unknown field',
      { tenantId: 'A', memberName: 'x', csrs, hasData: true, extra: 1 },
      ['tenantId', 'memberName', ''],
    ],
  ])('%s, naming every bad field', async (_name, body, fields) => {
    const answer = await world.callJoin('join', body, { session: 'x', sourceIp: '10.0.0.1' });
    expect(answer.status).toBe(400);
    const { problems } = answer.body as { problems: { field: string }[] };
    expect(problems.map(({ field }) => field).sort()).toEqual([...fields].sort());
  });

  test('routes that do not exist', async () => {
    expect(await world.callJoin('toString', {}, { session: 'x', sourceIp: '10.0.0.1' })).toMatchObject({
      status: 404,
    });
  });
});
