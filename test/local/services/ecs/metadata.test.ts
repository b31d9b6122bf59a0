import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, removeFolder, runInput, type Start, startHarness, until } from './harness.ts';

let harness: Harness;
let taskArn: string;
let env: Start['env'];
beforeAll(async () => {
  harness = await startHarness();
  const tags = [{ key: 'etcd-nanny:tenant', value: 'acme' }];
  const overrides = { cpu: '512', memory: '1024' };
  taskArn = (await harness.call('RunTask', runInput('', { tags, overrides }))).tasks[0].taskArn;
  [{ env }] = (await until(
    () => harness.starts(),
    (starts) => starts.length === 1,
  )) as [Start];
  await until(
    () => harness.task(taskArn),
    (task) => task.lastStatus === 'RUNNING',
  );
});
afterAll(async () => {
  await harness.close();
  removeFolder(harness.stateDir);
});

const get = (url: string, headers: Record<string, string> = {}) => fetch(url, { headers });
const metadata = async (path: string) => (await get(`${env.ECS_CONTAINER_METADATA_URI_V4}${path}`)).json();

describe('task metadata', () => {
  test('tells the container who it is', async () => {
    expect(await metadata('/task')).toMatchObject({
      Cluster: harness.clusterArn,
      TaskARN: taskArn,
      Family: 'app',
      Revision: '1',
      KnownStatus: 'RUNNING',
      Limits: { CPU: 0.5, Memory: 1024 },
      AvailabilityZone: 'eu-west-1a',
      LaunchType: 'FARGATE',
      Containers: [
        {
          Name: 'app',
          Networks: [
            { NetworkMode: 'awsvpc', IPv4Addresses: ['127.74.0.4'], IPv4SubnetCIDRBlock: '127.74.0.0/24' },
          ],
        },
      ],
    });
    expect(await metadata('/taskWithTags')).toMatchObject({ TaskTags: { 'etcd-nanny:tenant': 'acme' } });
    expect(await metadata('')).toMatchObject({
      Name: 'app',
      Image: 'test/app:1',
      KnownStatus: 'RUNNING',
      Type: 'NORMAL',
    });
    expect(await metadata('/stats')).toMatchObject({ memory_stats: { limit: 1024 * 1024 * 1024 } });
  });

  test('is told to nobody who does not know the id', async () => {
    const url = env.ECS_CONTAINER_METADATA_URI_V4!.replace(/[0-9a-f]{32}/, '0'.repeat(32));
    expect((await get(`${url}/task`)).status).toBe(404);
  });
});

describe('container credentials', () => {
  const url = () => env.AWS_CONTAINER_CREDENTIALS_FULL_URI!;
  const fetchThem = async () =>
    (await get(url(), { authorization: env.AWS_CONTAINER_AUTHORIZATION_TOKEN! })).json();

  test('are those of the task role, in a session named after the task, and are renewed before they end', async () => {
    const first = (await fetchThem()) as { AccessKeyId: string };
    expect(first).toMatchObject({ RoleArn: 'arn:aws:iam::123456789012:role/task', Token: 't' });
    expect(harness.assumed.at(-1)).toEqual({
      role: 'arn:aws:iam::123456789012:role/task',
      session: taskArn.split('/').at(-1),
    });
    expect(await fetchThem()).toEqual(first);
    harness.advance(46 * 60);
    expect(await fetchThem()).not.toMatchObject({ AccessKeyId: first.AccessKeyId });
  });

  test('need the authorization token', async () => {
    expect((await get(url())).status).toBe(401);
    expect((await get(url(), { authorization: 'wrong' })).status).toBe(401);
    expect((await get(url().replace(/[^/]+$/, 'other'))).status).toBe(404);
  });

  test('end with the task', async () => {
    await harness.call('StopTask', { task: taskArn });
    await until(
      () => harness.task(taskArn),
      (task) => task.lastStatus === 'STOPPED',
    );
    expect((await get(url(), { authorization: env.AWS_CONTAINER_AUTHORIZATION_TOKEN! })).status).toBe(404);
    expect((await get(`${env.ECS_CONTAINER_METADATA_URI_V4}/task`)).status).toBe(404);
  });
});
