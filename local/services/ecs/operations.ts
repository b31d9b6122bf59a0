import type * as z from 'zod';
import { type Authorization, AwsError, type JsonOperation } from '../../aws/service.ts';
import { authorizeListTasks, authorizeRunTask, authorizeTagResource, authorizeTasks } from './authorize.ts';
import type { LifeCycle } from './life-cycle.ts';
import type { TaskRecord } from './model.ts';
import {
  arnOf,
  clusterArnOf,
  findCluster,
  findTaskDefinition,
  taskArnOf,
  taskDefinitionDocument,
} from './registry.ts';
import {
  describeClustersSchema,
  describeTaskDefinitionSchema,
  describeTasksSchema,
  invalidParameter,
  listTagsSchema,
  listTasksSchema,
  parseRequest,
  runTaskSchema,
  stopTaskSchema,
  type TagList,
  tagResourceSchema,
} from './requests.ts';
import { type RunTaskDeps, runTask } from './run-task.ts';
import { taskDocument } from './views.ts';

/** STOPPED tasks are shown for at least an hour. */
const visibleMs = 3_600_000;
/** Their records serve client tokens for a day. */
const keptMs = 86_400_000;

export function createOperations(deps: RunTaskDeps, life: LifeCycle): Record<string, JsonOperation> {
  const { context, store } = deps;
  const { state } = store;
  const operations: Record<string, JsonOperation> = {};

  function define<S extends z.ZodType>(
    name: string,
    schema: S,
    authorize: (input: z.infer<S>) => Authorization[],
    run: (input: z.infer<S>) => unknown,
  ): void {
    operations[name] = {
      authorize: (input: unknown) => authorize(parseRequest(schema, input)),
      async run(input: unknown) {
        return run(parseRequest(schema, input));
      },
    };
  }

  const age = (task: TaskRecord) => deps.now().getTime() - (task.stoppedAt ?? Number.POSITIVE_INFINITY);
  const document = (task: TaskRecord, withTags = false) =>
    taskDocument(task, state, context.region, withTags);
  /** Reads are eventually consistent on AWS, hence the stale ones of chaos. */
  function readable(clusterArn: string): TaskRecord[] {
    return Object.values(deps.chaos.staleTasks ?? state.tasks)
      .filter((task) => task.clusterArn === clusterArn && age(task) < visibleMs)
      .map((task) => (deps.chaos.claimedStopped.has(task.taskArn) ? asStopped(task) : task));
  }
  function prune(): void {
    const now = deps.now().getTime();
    for (const [arn, task] of Object.entries(state.tasks)) {
      if (age(task) <= keptMs) continue;
      delete state.tasks[arn];
      if (task.volume && state.volumes[task.volume.volumeId]?.state === 'deleted')
        delete state.volumes[task.volume.volumeId];
    }
    for (const [token, { at }] of Object.entries(state.clientTokens))
      if (now - at > keptMs) delete state.clientTokens[token];
  }

  define(
    'RunTask',
    runTaskSchema,
    (input) => authorizeRunTask(input, state, context),
    (input) => {
      prune();
      const { tasks, started, failures } = runTask(input, deps);
      const answer = { tasks: tasks.map((task) => document(task, true)), failures };
      for (const task of started) life.launch(task);
      return answer;
    },
  );

  define(
    'DescribeTasks',
    describeTasksSchema,
    (input) => authorizeTasks('ecs:DescribeTasks', input.cluster, input.tasks, state, context),
    (input) => {
      const { clusterArn } = findCluster(state, context, input.cluster);
      const byArn = new Map(readable(clusterArn).map((task) => [task.taskArn, task]));
      const arns = input.tasks.map((task) => taskArnOf(context, input.cluster, task));
      const found = arns.map((arn) => byArn.get(arn)).filter((task) => task !== undefined);
      return {
        tasks: found.map((task) => document(task, input.include.includes('TAGS'))),
        failures: arns.filter((arn) => !byArn.has(arn)).map((arn) => ({ arn, reason: 'MISSING' })),
      };
    },
  );

  define(
    'ListTasks',
    listTasksSchema,
    (input) => authorizeListTasks(input.cluster, context),
    (input) => {
      const { clusterArn } = findCluster(state, context, input.cluster);
      // ECS never sets a desired status of PENDING: that filter finds nothing.
      const arns = readable(clusterArn)
        .filter((task) => task.desiredStatus === input.desiredStatus)
        .filter((task) => input.startedBy === undefined || task.startedBy === input.startedBy)
        .filter((task) => input.launchType === undefined || task.launchType === input.launchType)
        .filter(
          (task) =>
            input.family === undefined ||
            state.taskDefinitions[task.taskDefinitionArn]?.family === input.family,
        )
        .map(({ taskArn }) => taskArn)
        .sort();
      const after = input.nextToken && Buffer.from(input.nextToken, 'base64url').toString();
      if (after && !after.startsWith('arn:')) throw invalidParameter('Invalid token in request.');
      const rest = after ? arns.filter((arn) => arn > after) : arns;
      const taskArns = rest.slice(0, input.maxResults);
      return {
        taskArns,
        ...(rest.length > taskArns.length && {
          nextToken: Buffer.from(taskArns.at(-1)!).toString('base64url'),
        }),
      };
    },
  );

  define(
    'StopTask',
    stopTaskSchema,
    (input) => authorizeTasks('ecs:StopTask', input.cluster, [input.task], state, context),
    (input) => {
      const { clusterArn } = findCluster(state, context, input.cluster);
      const task = state.tasks[taskArnOf(context, input.cluster, input.task)];
      if (task?.clusterArn !== clusterArn || age(task) >= visibleMs)
        throw invalidParameter('The referenced task was not found.');
      life.stop(task, 'UserInitiated', input.reason ?? 'Task stopped by user');
      return { task: document(task) };
    },
  );

  define(
    'DescribeTaskDefinition',
    describeTaskDefinitionSchema,
    () => [{ action: 'ecs:DescribeTaskDefinition', resource: '*' }],
    (input) => {
      const record = findTaskDefinition(state, input.taskDefinition);
      return {
        taskDefinition: taskDefinitionDocument(record),
        ...(input.include.includes('TAGS') && { tags: record.tags }),
      };
    },
  );

  define(
    'DescribeClusters',
    describeClustersSchema,
    (input) =>
      input.clusters.map((name) => ({
        action: 'ecs:DescribeClusters',
        resource: clusterArnOf(context, name),
      })),
    (input) => {
      const arns = input.clusters.map((name) => clusterArnOf(context, name));
      const count = (clusterArn: string, statuses: string[]) =>
        readable(clusterArn).filter(({ lastStatus }) => statuses.includes(lastStatus)).length;
      return {
        clusters: arns
          .map((arn) => state.clusters[arn])
          .filter((cluster) => cluster !== undefined)
          .map((cluster) => ({
            ...cluster,
            status: 'ACTIVE',
            registeredContainerInstancesCount: 0,
            activeServicesCount: 0,
            runningTasksCount: count(cluster.clusterArn, ['RUNNING']),
            pendingTasksCount: count(cluster.clusterArn, ['PROVISIONING', 'PENDING']),
            tags: input.include.includes('TAGS') ? cluster.tags : [],
          })),
        failures: arns.filter((arn) => !state.clusters[arn]).map((arn) => ({ arn, reason: 'MISSING' })),
      };
    },
  );

  /** @throws AwsError */
  function taggable(arn: string): { tags: TagList } {
    const task = state.tasks[arn];
    const found = task && age(task) < visibleMs ? task : (state.clusters[arn] ?? state.taskDefinitions[arn]);
    if (found) return found;
    if (!arn.startsWith(arnOf(context, ''))) throw invalidParameter('Invalid ARN.');
    throw new AwsError('InvalidParameterException', 'The specified resource was not found.');
  }

  define(
    'TagResource',
    tagResourceSchema,
    (input) => authorizeTagResource(input.resourceArn, input.tags, state),
    (input) => {
      const resource = taggable(input.resourceArn);
      const added = new Set(input.tags.map(({ key }) => key));
      const tags = [...resource.tags.filter(({ key }) => !added.has(key)), ...input.tags];
      if (tags.length > 50) throw invalidParameter('A resource may have at most 50 tags.');
      resource.tags.splice(0, resource.tags.length, ...tags);
      store.save();
      return {};
    },
  );

  define(
    'ListTagsForResource',
    listTagsSchema,
    (input) => [{ action: 'ecs:ListTagsForResource', resource: input.resourceArn }],
    (input) => ({ tags: taggable(input.resourceArn).tags }),
  );

  return operations;
}

const asStopped = (task: TaskRecord): TaskRecord => ({
  ...task,
  lastStatus: 'STOPPED',
  desiredStatus: 'STOPPED',
  stopCode: 'TerminationNotice',
  stoppedReason: 'Host is gone',
});
