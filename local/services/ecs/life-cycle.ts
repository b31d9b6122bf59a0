import { existsSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudContext } from '../../aws/service.ts';
import type { EcsChaosState } from './chaos.ts';
import type { Disks } from './disks.ts';
import { containerSpec, taskDirectory } from './environment.ts';
import { checkLaunchPermissions } from './launch-permissions.ts';
import type { ContainerDefinition, ContainerRecord, TaskRecord, TaskStatus } from './model.ts';
import { type ContainerRuntime, ContainerStartError, type RunningContainer } from './runtime.ts';
import type { EcsStore } from './store.ts';
import { taskEvent } from './views.ts';

export interface LifeCycleDeps {
  readonly context: CloudContext;
  readonly store: EcsStore;
  readonly runtime: ContainerRuntime;
  readonly chaos: EcsChaosState;
  readonly disks: Pick<Disks, 'prepare'>;
  now(): Date;
  /** Upper bound for the stop time-outs when the whole cloud is suspended, ms. */
  readonly suspendTimeoutMs: number;
}

export interface LifeCycle {
  /** Takes a task that is on disk as PROVISIONING to RUNNING, in the background. */
  launch(task: TaskRecord): void;
  /** Sets the desired status to STOPPED and stops in the background. Harmless on a task that is stopping already. */
  stop(task: TaskRecord, stopCode: string, reason: string): void;
  /** The running container processes of a task. */
  containersOf(taskArn: string): RunningContainer[];
  resume(): Promise<void>;
  suspend(): Promise<void>;
}

export function createLifeCycle(deps: LifeCycleDeps): LifeCycle {
  const { context, store, runtime } = deps;
  const running = new Map<ContainerRecord, { task: TaskRecord; handle: RunningContainer }>();
  /** Containers between the decision to start them and their process: a stop has to wait for these too. */
  const starting = new Map<ContainerRecord, { task: TaskRecord; started: Promise<void> }>();
  const closing = new Set<TaskRecord>();
  const background = new Set<Promise<void>>();
  /** Until `resume` nothing is started or stopped here: what was asked for waits on disk, and `resume` takes it up. */
  let suspended = true;

  const now = () => deps.now().getTime();

  function track(work: Promise<void>, task: TaskRecord): void {
    const guarded = work
      .catch((error: unknown) =>
        context.log('ECS task failed', { taskArn: task.taskArn, error: String(error) }),
      )
      .finally(() => background.delete(guarded));
    background.add(guarded);
  }

  /** One step of the life cycle: a new version, on disk, then told to the bus. */
  function change(task: TaskRecord, patch: Partial<TaskRecord> & { lastStatus?: TaskStatus }): void {
    Object.assign(task, patch, { version: task.version + 1, updatedAt: now() });
    store.save();
    context.emit(taskEvent(task, store.state, context.region));
  }

  function definitionOf(task: TaskRecord, container: ContainerRecord): ContainerDefinition {
    const { definition } = store.state.taskDefinitions[task.taskDefinitionArn]!;
    return definition.containerDefinitions.find(({ name }) => name === container.name)!;
  }

  async function startContainer(task: TaskRecord, container: ContainerRecord): Promise<void> {
    const started = spawnContainer(task, container).finally(() => starting.delete(container));
    starting.set(container, { task, started });
    await started;
  }

  async function spawnContainer(task: TaskRecord, container: ContainerRecord): Promise<void> {
    const spec = containerSpec(task, container, store.state, context);
    for (const directory of [
      spec.directory,
      path.dirname(spec.logFile),
      ...spec.mounts.map((m) => m.directory),
    ])
      mkdirSync(directory, { recursive: true });
    const handle = await runtime.start(spec);
    running.set(container, { task, handle });
    Object.assign(container, { lastStatus: 'RUNNING', startedAt: now(), process: handle.identity });
    // At once, without waiting for the next step of the life cycle: a cloud that is killed now must find it again.
    store.save();
    track(
      handle.exited.then(({ exitCode }) => onExit(task, container, exitCode)),
      task,
    );
  }

  async function onExit(task: TaskRecord, container: ContainerRecord, exitCode: number): Promise<void> {
    running.delete(container);
    delete container.process;
    if (suspended && task.desiredStatus === 'RUNNING') return store.save();
    if (task.desiredStatus === 'RUNNING' && mayRestart(definitionOf(task, container), container, exitCode)) {
      container.restartCount += 1;
      try {
        return await startContainer(task, container);
      } catch (error) {
        container.reason = (error as Error).message;
      }
    }
    Object.assign(container, { lastStatus: 'STOPPED', exitCode });
    if (task.desiredStatus === 'STOPPED') return;
    const last = task.containers.every(({ lastStatus }) => lastStatus === 'STOPPED');
    if (definitionOf(task, container).essential || last)
      stop(task, 'EssentialContainerExited', 'Essential container in task exited');
    else change(task, {});
  }

  /** ECS's rule: a container that has not run for restartAttemptPeriod since its latest start is not restarted. */
  function mayRestart({ restartPolicy }: ContainerDefinition, container: ContainerRecord, exitCode: number) {
    return (
      restartPolicy?.enabled === true &&
      !restartPolicy.ignoredExitCodes.includes(exitCode) &&
      now() - (container.startedAt ?? 0) >= restartPolicy.restartAttemptPeriod * 1000
    );
  }

  async function bringUp(task: TaskRecord): Promise<void> {
    const interrupted = () => suspended || task.desiredStatus === 'STOPPED';
    await new Promise(setImmediate);
    if (interrupted()) return;
    if (task.lastStatus === 'PROVISIONING') {
      task.network.status = 'ATTACHED';
      change(task, { lastStatus: 'PENDING', connectivityAt: now(), pullStartedAt: now() });
    }
    try {
      const refused = deps.chaos.startFailures.get(task.network.zone);
      if (refused !== undefined && task.lastStatus === 'PENDING')
        throw new ContainerStartError('ResourceInitializationError', refused);
      if (task.lastStatus === 'PENDING') {
        checkLaunchPermissions(task, store.state, context);
        if (task.volume) await deps.disks.prepare(task.volume.volumeId);
        if (interrupted()) return;
      }
      for (const container of task.containers.filter(({ lastStatus }) => lastStatus !== 'STOPPED')) {
        await startContainer(task, container);
        if (interrupted()) return;
      }
    } catch (error) {
      // Whatever it was (a full disk, say), the task must not hang half-way: it stops and says why.
      const { message } =
        error instanceof ContainerStartError
          ? error
          : new ContainerStartError('ResourceInitializationError', String(error));
      for (const container of task.containers) container.reason ??= message;
      return stop(task, 'TaskFailedToStart', message);
    }
    if (task.lastStatus === 'PENDING')
      change(task, { lastStatus: 'RUNNING', pullStoppedAt: now(), startedAt: now() });
  }

  function stop(task: TaskRecord, stopCode: string, reason: string): void {
    if (task.desiredStatus === 'STOPPED') return;
    change(task, { desiredStatus: 'STOPPED', stopCode, stoppedReason: reason, stoppingAt: now() });
    if (!suspended) track(takeDown(task), task);
  }

  async function takeDown(task: TaskRecord): Promise<void> {
    if (closing.has(task) || task.lastStatus === 'STOPPED') return;
    closing.add(task);
    await new Promise(setImmediate);
    if (task.lastStatus === 'RUNNING') change(task, { lastStatus: 'DEACTIVATING' });
    change(task, { lastStatus: 'STOPPING' });
    await Promise.allSettled([...starting.values()].filter((s) => s.task === task).map((s) => s.started));
    await Promise.all(
      [...running]
        .filter(([, entry]) => entry.task === task)
        .map(([container, { handle }]) => handle.stop(stopTimeoutMs(definitionOf(task, container)))),
    );
    // The exits were promised before our own waits, so their bookkeeping (exit codes) is done by now.
    for (const container of task.containers) container.lastStatus = 'STOPPED';
    change(task, { lastStatus: 'DEPROVISIONING', executionStoppedAt: now() });
    await releaseVolume(task);
    await removeFolder(taskDirectory(context, task.taskId));
    task.network.status = 'DELETED';
    change(task, { lastStatus: 'STOPPED', stoppedAt: now() });
    closing.delete(task);
  }

  function stopTimeoutMs(definition: ContainerDefinition): number {
    const wanted = definition.stopTimeout * 1000;
    return suspended ? Math.min(wanted, deps.suspendTimeoutMs) : wanted;
  }

  async function releaseVolume(task: TaskRecord): Promise<void> {
    const volume = task.volume && store.state.volumes[task.volume.volumeId];
    if (!volume) return;
    // One that could not be filled was never made.
    const kept = !volume.deleteOnTermination && existsSync(volume.directory);
    volume.state = kept ? 'available' : 'deleted';
    if (volume.deleteOnTermination) await removeFolder(volume.directory);
  }

  /** A folder that cannot be removed must not keep its task from stopping. */
  async function removeFolder(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) =>
      context.log('could not remove a folder', { directory, error: String(error) }),
    );
  }

  const unfinished = () =>
    Object.values(store.state.tasks).filter(({ lastStatus }) => lastStatus !== 'STOPPED');

  return {
    launch(task) {
      context.emit(taskEvent(task, store.state, context.region));
      if (!suspended) track(bringUp(task), task);
    },
    stop,
    containersOf: (taskArn) =>
      [...running.values()].filter(({ task }) => task.taskArn === taskArn).map(({ handle }) => handle),
    async resume() {
      for (const task of unfinished()) {
        for (const container of task.containers) {
          if (!container.process) continue;
          const left = await runtime.reap(
            container.process,
            containerSpec(task, container, store.state, context),
          );
          if (left)
            context.log('ended a container left by a cloud that was killed', { taskArn: task.taskArn });
          delete container.process;
        }
      }
      store.save();
      suspended = false;
      for (const task of unfinished())
        track(task.desiredStatus === 'STOPPED' ? takeDown(task) : bringUp(task), task);
    },
    async suspend() {
      suspended = true;
      while (running.size > 0 || background.size > 0) {
        await Promise.all(
          [...running].map(([container, { task, handle }]) =>
            handle.stop(stopTimeoutMs(definitionOf(task, container))),
          ),
        );
        // Not until all of it has settled: a start that was under way may have brought one more container meanwhile.
        await Promise.race([Promise.all(background), sleep(20)]);
      }
    },
  };
}
