import {
  ClusterNotFoundException,
  ConflictException,
  DescribeClustersCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  InvalidParameterException,
  ListTagsForResourceCommand,
  ListTasksCommand,
  paginateListTasks,
  RunTaskCommand,
  type RunTaskCommandInput,
  StopTaskCommand,
  TagResourceCommand,
  waitUntilTasksRunning,
  waitUntilTasksStopped,
} from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Harness, removeFolder, runInput, startHarness } from './harness.ts';

let harness: Harness;
let client: ECSClient;
beforeAll(async () => {
  harness = await startHarness();
  client = new ECSClient({
    endpoint: harness.endpointUrl,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
  });
});
afterAll(async () => {
  client.destroy();
  await harness.close();
  removeFolder(harness.stateDir);
});

const input = (more = {}) => ({ cluster: 'main', ...runInput('', more) }) as RunTaskCommandInput;
const waiter = () => ({ client, maxWaitTime: 10, minDelay: 0.1, maxDelay: 0.2 }) as const;

test('the SDK runs, waits for, lists and stops tasks', async () => {
  const ran = await client.send(new RunTaskCommand(input({ count: 3, startedBy: 'etcd-nanny/sdk' })));
  const tasks = ran.tasks!.map(({ taskArn }) => taskArn!);
  expect(ran.tasks![0]!.createdAt).toBeInstanceOf(Date);
  await waitUntilTasksRunning(waiter(), { cluster: 'main', tasks });

  const listed: string[] = [];
  const pages = paginateListTasks({ client, pageSize: 2 }, { cluster: 'main', startedBy: 'etcd-nanny/sdk' });
  for await (const page of pages) listed.push(...page.taskArns!);
  expect(listed.sort()).toEqual([...tasks].sort());
  const byFamily = (family: string) => client.send(new ListTasksCommand({ cluster: 'main', family }));
  expect((await byFamily('app')).taskArns).toHaveLength(3);
  expect((await byFamily('other')).taskArns).toEqual([]);

  for (const task of tasks)
    await client.send(new StopTaskCommand({ cluster: harness.clusterArn, task, reason: 'done' }));
  await waitUntilTasksStopped(waiter(), { cluster: 'main', tasks });
  const list = (desiredStatus: 'RUNNING' | 'STOPPED') =>
    client.send(new ListTasksCommand({ cluster: 'main', startedBy: 'etcd-nanny/sdk', desiredStatus }));
  expect((await list('RUNNING')).taskArns).toEqual([]);
  expect((await list('STOPPED')).taskArns).toHaveLength(3);
});

test('tags are set at launch, added to, and shown when asked for', async () => {
  const { tasks } = await client.send(new RunTaskCommand(input({ tags: [{ key: 'a', value: '1' }] })));
  const resourceArn = tasks![0]!.taskArn!;
  await client.send(new TagResourceCommand({ resourceArn, tags: [{ key: 'b', value: '2' }] }));
  const expected = [
    { key: 'a', value: '1' },
    { key: 'b', value: '2' },
  ];
  expect((await client.send(new ListTagsForResourceCommand({ resourceArn }))).tags).toEqual(expected);
  const describe = (include: 'TAGS'[]) =>
    client.send(new DescribeTasksCommand({ cluster: 'main', tasks: [resourceArn], include }));
  expect((await describe(['TAGS'])).tasks![0]!.tags).toEqual(expected);
  expect((await describe([])).tasks![0]!.tags).toEqual([]);
});

test('errors arrive as the classes of the SDK', async () => {
  const { tasks } = await client.send(new RunTaskCommand(input({ clientToken: 'once' })));
  const conflict = await client
    .send(new RunTaskCommand(input({ clientToken: 'once', group: 'g' })))
    .catch((e) => e);
  expect(conflict).toBeInstanceOf(ConflictException);
  expect(conflict.resourceIds).toEqual([tasks![0]!.taskArn]);
  const nowhere = client.send(new ListTasksCommand({ cluster: 'nowhere' }));
  await expect(nowhere).rejects.toBeInstanceOf(ClusterNotFoundException);
  const unknown = client.send(new StopTaskCommand({ cluster: 'main', task: 'f'.repeat(32) }));
  await expect(unknown).rejects.toBeInstanceOf(InvalidParameterException);
  await expect(unknown).rejects.toThrow('The referenced task was not found.');
});

test('cluster and task definition are described; the same template keeps its revision', async () => {
  const clusters = await client.send(new DescribeClustersCommand({ clusters: ['main', 'nowhere'] }));
  expect(clusters.clusters![0]).toMatchObject({ clusterName: 'main', status: 'ACTIVE' });
  expect(clusters.failures).toMatchObject([{ reason: 'MISSING' }]);
  const { taskDefinition } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'app' }));
  expect(taskDefinition).toMatchObject({
    family: 'app',
    revision: 1,
    cpu: '256',
    containerDefinitions: [{ name: 'app', image: 'test/app:1', essential: true, stopTimeout: 1 }],
  });
  const provider = harness.ecs.providers.find(({ types }) => types.includes('AWS::ECS::TaskDefinition'))!;
  const provision = (cpu: string, more = {}) =>
    provider.provision({
      type: 'AWS::ECS::TaskDefinition',
      stack: 'test',
      logicalId: 'Other',
      properties: {
        Family: 'other',
        NetworkMode: 'awsvpc',
        RequiresCompatibilities: ['FARGATE'],
        Cpu: cpu,
        Memory: '1024',
        ContainerDefinitions: [{ Name: 'main', Image: 'test/app:2', ...more }],
      },
    });
  const revisions = [];
  for (const cpu of ['256', '256', '512', '256'])
    revisions.push((await provision(cpu)).ref.split(':').at(-1));
  expect(revisions).toEqual(['1', '1', '2', '3']);
  const old = client.send(new RunTaskCommand(input({ taskDefinition: 'other:1', overrides: {} })));
  await expect(old).rejects.toThrow('TaskDefinition is inactive');
  // What would run differently from AWS is refused at start.
  await expect(provision('256', { Secrets: [{ Name: 'X', ValueFrom: 'arn' }] })).rejects.toThrow(/Secrets/);
});
