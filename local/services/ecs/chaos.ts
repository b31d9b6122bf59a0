import type { TaskRecord } from './model.ts';
import type { ContainerRuntime, RunningContainer } from './runtime.ts';

/** A task that has not stopped, as chaos sees it. */
export interface ChaosTask {
  readonly taskArn: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly zone: string;
  readonly stopping: boolean;
  /** Whether any of its containers runs. */
  readonly running: boolean;
  /** Pids on this machine of all that runs in its containers now. */
  readonly processes: () => readonly number[];
  /** Folders of its volumes. */
  readonly volumes: readonly string[];
}

/** Ways to hurt the ECS of the local cloud on purpose; `nanny chaos` builds on them. Throttling: see local/faults.ts. */
export interface EcsChaos {
  /** A signal to the first process of each container; SIGKILL is what an out-of-memory kill looks like. */
  killTask(taskArn: string, signal: NodeJS.Signals): void;
  /** Freezes all processes of the task: its connections stay open and silent. */
  pauseTask(taskArn: string): void;
  resumeTask(taskArn: string): void;
  /** Ends all its processes at once, as when its host is lost. Harmless when none runs. */
  endTask(taskArn: string): void;
  /** Nobody reaches the task until it is mended; how that is done is the runtime's affair. */
  cutTask(taskArn: string): Promise<void>;
  /** Harmless when it is gone. */
  mendTask(taskArn: string): Promise<void>;
  readonly how: ContainerRuntime['how'];
  /**
   * Launches in a zone fail until `reason` is undefined: `refuse` in RunTask's `failures`, `start` as a task that stops
   * with TaskFailedToStart.
   */
  failLaunchesInZone(zone: string, kind: 'refuse' | 'start', reason: string | undefined): void;
  tasks(): ChaosTask[];
  /** As StopTask by somebody with the right to. Harmless when it is stopping already. */
  stopTask(taskArn: string, reason: string): void;
  /** The task's managed volume will not be kept when it ends, whatever its launch said. */
  loseDisk(taskArn: string): void;
  /** While on, DescribeTasks and ListTasks answer what they would have answered when it was turned on. */
  staleReads(on: boolean): void;
  /** While on, DescribeTasks and ListTasks say that these tasks have stopped, though they run: a detector that lies. */
  claimStopped(taskArns: readonly string[], on: boolean): void;
}

export interface EcsChaosState {
  readonly launchFailures: Map<string, string>;
  readonly startFailures: Map<string, string>;
  /** The tasks as readers see them while reads are stale. */
  staleTasks: Record<string, TaskRecord> | undefined;
  /** Tasks that are told of as stopped. */
  readonly claimedStopped: Set<string>;
}

export function createChaosState(): EcsChaosState {
  return {
    launchFailures: new Map(),
    startFailures: new Map(),
    staleTasks: undefined,
    claimedStopped: new Set(),
  };
}

export function createChaos(
  state: EcsChaosState,
  containersOf: (taskArn: string) => RunningContainer[],
  tasks: () => Record<string, TaskRecord>,
  deps: {
    readonly stop: (task: TaskRecord, reason: string) => void;
    readonly volumesOf: (task: TaskRecord) => string[];
    readonly loseDisk: (task: TaskRecord) => void;
    readonly how: ContainerRuntime['how'];
  },
): EcsChaos {
  const signalAll = (taskArn: string, signal: NodeJS.Signals, target: 'main' | 'all') => {
    const containers = containersOf(taskArn);
    if (containers.length === 0) throw new Error(`No container of ${taskArn} is running.`);
    for (const container of containers) container.signal(signal, target);
  };
  return {
    killTask: (taskArn, signal) => signalAll(taskArn, signal, 'main'),
    pauseTask: (taskArn) => signalAll(taskArn, 'SIGSTOP', 'all'),
    resumeTask: (taskArn) => signalAll(taskArn, 'SIGCONT', 'all'),
    endTask(taskArn) {
      for (const container of containersOf(taskArn)) container.signal('SIGKILL', 'all');
    },
    async cutTask(taskArn) {
      await Promise.all(containersOf(taskArn).map((container) => container.cut()));
    },
    async mendTask(taskArn) {
      await Promise.all(containersOf(taskArn).map((container) => container.mend()));
    },
    how: deps.how,
    failLaunchesInZone(zone, kind, reason) {
      const failures = kind === 'refuse' ? state.launchFailures : state.startFailures;
      if (reason === undefined) failures.delete(zone);
      else failures.set(zone, reason);
    },
    tasks: () =>
      Object.values(tasks())
        .filter(({ lastStatus }) => lastStatus !== 'STOPPED')
        .map((task) => ({
          taskArn: task.taskArn,
          tags: Object.fromEntries(task.tags.map(({ key, value }) => [key, value ?? ''])),
          zone: task.network.zone,
          stopping: task.desiredStatus === 'STOPPED',
          running: containersOf(task.taskArn).length > 0,
          processes: () => containersOf(task.taskArn).flatMap((container) => container.processes()),
          volumes: deps.volumesOf(task),
        })),
    stopTask(taskArn, reason) {
      const task = tasks()[taskArn];
      if (task === undefined) throw new Error(`There is no task ${taskArn}.`);
      deps.stop(task, reason);
    },
    loseDisk(taskArn) {
      const task = tasks()[taskArn];
      if (task !== undefined) deps.loseDisk(task);
    },
    staleReads(on) {
      state.staleTasks = on ? structuredClone(tasks()) : undefined;
    },
    claimStopped(taskArns, on) {
      for (const taskArn of taskArns) {
        if (on) state.claimedStopped.add(taskArn);
        else state.claimedStopped.delete(taskArn);
      }
    },
  };
}
