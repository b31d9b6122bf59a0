import type { Cell, LaunchRequest, TaskRuntime, TaskView } from '../../lambdas/core/ports.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';

export interface Task {
  readonly taskArn: string;
  readonly tenantId: string;
  readonly memberName: string;
  readonly zone: string;
  readonly ip: string;
  /** Its EBS volume outlives it, as long as nothing happens to that. */
  diskStays: boolean;
  /** Of a worker: the copy that its disk begins as. */
  readonly snapshotId?: string;
  /** What ECS would have said at each time. */
  readonly history: { at: number; lastStatus: string; desiredStatus: string }[];
  stoppedReason?: string;
  /** Who ended it. */
  endedBy?: 'fault' | 'control-plane' | 'itself';
}

/** What goes wrong with tasks now. */
export interface TaskWeather {
  /** @throws what RunTask answers */
  readonly launching: (request: LaunchRequest) => void;
  /** Why this task never comes up. */
  readonly stillborn: (task: Task) => string | undefined;
  /** How old DescribeTasks' and ListTasks' answers are, ms. */
  readonly staleMs: () => number;
  /** ECS cannot get at its host. */
  readonly isolated: (task: Task) => boolean;
  /** A task that ends takes its volume with it. */
  readonly diskLost: (task: Task) => boolean;
}

const last = (task: Task) => task.history.at(-1)!;
export const isAlive = (task: Task): boolean => last(task).lastStatus !== 'STOPPED';
export const isRunning = (task: Task): boolean => last(task).lastStatus === 'RUNNING';
export const isWanted = (task: Task): boolean => last(task).desiredStatus === 'RUNNING';

/** What others do when something becomes of a tenant's task. */
export interface TaskEvents {
  readonly running: (task: Task) => void;
  /** Its processes and its disk are gone. */
  readonly ended: (task: Task) => void;
  /** Told before it happens. */
  readonly stopWanted?: (task: Task) => void;
}

/** ECS: idempotent launches, tasks that come and go in time, answers that may be old. */
export class Fargate implements TaskRuntime {
  readonly tasks = new Map<string, Task>();
  onStopped: (task: Task) => void = () => undefined;
  /** With a volume of its own. */
  onVolume: (task: Task) => void = () => undefined;
  readonly #events = new Map<string, TaskEvents>();
  readonly #byToken = new Map<string, string>();
  readonly #clock: VirtualClock;
  readonly #weather: TaskWeather;
  readonly #times: { startMs: number; stopMs: number };
  #count = 0;

  constructor(clock: VirtualClock, weather: TaskWeather, times: { startMs: number; stopMs: number }) {
    this.#clock = clock;
    this.#weather = weather;
    this.#times = times;
  }

  watch(tenantId: string, events: TaskEvents): void {
    this.#events.set(tenantId, events);
  }

  async launch(request: LaunchRequest): Promise<{ taskArn: string }> {
    this.#weather.launching(request);
    const token = `${request.tenantId}-${request.memberName}`;
    const known = this.#byToken.get(token);
    if (known !== undefined) return { taskArn: known };
    const id = String(++this.#count).padStart(32, '0');
    const task: Task = {
      taskArn: `arn:aws:ecs:us-east-1:000000000000:task/cell/${id}`,
      tenantId: request.tenantId,
      memberName: request.memberName,
      zone: request.zone,
      ip: `10.0.${Math.floor(this.#count / 250)}.${(this.#count % 250) + 1}`,
      diskStays: request.volume === 'ebs' && request.keepDisk === true,
      ...(request.work?.snapshotId && { snapshotId: request.work.snapshotId }),
      history: [{ at: this.#now(), lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING' }],
    };
    this.#byToken.set(token, task.taskArn);
    this.tasks.set(task.taskArn, task);
    if (request.volume === 'ebs') this.onVolume(task);
    this.#clock.at(this.#times.startMs, () => {
      if (!isWanted(task)) return;
      const dies = this.#weather.stillborn(task);
      if (dies !== undefined) return this.end(task, dies, 'fault');
      this.#turn(task, { lastStatus: 'RUNNING' });
      this.#of(task).running(task);
    });
    return { taskArn: task.taskArn };
  }

  async describe(_cell: Cell, taskArns: readonly string[]): Promise<TaskView[]> {
    return taskArns.flatMap((taskArn) => {
      const task = this.tasks.get(taskArn);
      return task === undefined ? [] : this.#view(task);
    });
  }

  async list(_cell: Cell, tenantId: string): Promise<string[]> {
    return [...this.tasks.values()]
      .filter((task) => task.tenantId === tenantId)
      .flatMap((task) => this.#view(task))
      .filter((view) => view.lastStatus !== 'STOPPED')
      .map((view) => view.taskArn);
  }

  async stop(_cell: Cell, taskArn: string, reason: string): Promise<void> {
    const task = this.tasks.get(taskArn);
    if (task === undefined || !isWanted(task)) return;
    this.#of(task).stopWanted?.(task);
    task.endedBy = 'control-plane';
    task.stoppedReason = reason;
    this.#turn(task, { desiredStatus: 'STOPPED' });
    this.#stopWhenReached(task);
  }

  /** It ends by itself or because its host died. */
  end(task: Task, reason: string, by: 'fault' | 'itself'): void {
    if (!isAlive(task)) return;
    task.endedBy ??= by;
    if (by === 'fault' && this.#weather.diskLost(task)) task.diskStays = false;
    task.stoppedReason ??= reason;
    this.#of(task).ended(task);
    if (isWanted(task)) this.#turn(task, { desiredStatus: 'STOPPED' });
    this.#clock.at(300, () => this.#stopped(task));
  }

  /** All of a tenant, or of everybody. */
  alive(tenantId?: string): Task[] {
    return [...this.tasks.values()].filter(
      (task) => isAlive(task) && (tenantId === undefined || task.tenantId === tenantId),
    );
  }

  #stopWhenReached(task: Task): void {
    this.#clock.at(this.#times.stopMs, () => {
      if (!isAlive(task)) return;
      if (this.#weather.isolated(task)) return this.#stopWhenReached(task);
      this.#of(task).ended(task);
      this.#stopped(task);
    });
  }

  #stopped(task: Task): void {
    if (!isAlive(task)) return;
    this.#turn(task, { lastStatus: 'STOPPED', desiredStatus: 'STOPPED' });
    this.onStopped(task);
  }

  #turn(task: Task, change: { lastStatus?: string; desiredStatus?: string }): void {
    const { lastStatus, desiredStatus } = last(task);
    task.history.push({ lastStatus, desiredStatus, ...change, at: this.#now() });
  }

  #of(task: Task): TaskEvents {
    return this.#events.get(task.tenantId)!;
  }

  #now(): number {
    return this.#clock.now().getTime();
  }

  #view(task: Task): TaskView[] {
    const at = this.#now() - this.#weather.staleMs();
    const seen = task.history.findLast((entry) => entry.at <= at);
    if (seen === undefined) return [];
    const { lastStatus, desiredStatus } = seen;
    return [
      {
        taskArn: task.taskArn,
        lastStatus,
        desiredStatus,
        memberName: task.memberName,
        tenantId: task.tenantId,
        ...(lastStatus !== 'PROVISIONING' && { privateIp: task.ip }),
        ...(lastStatus === 'STOPPED' &&
          task.stoppedReason !== undefined && { stoppedReason: task.stoppedReason }),
      },
    ];
  }
}
