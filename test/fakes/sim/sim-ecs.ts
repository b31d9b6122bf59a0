import { TransientError } from '../../../lambdas/core/errors.ts';
import type { Cell, LaunchRequest, TaskRuntime, TaskView } from '../../../lambdas/core/ports.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SimTask {
  readonly taskArn: string;
  readonly tenantId: string;
  readonly memberName: string;
  readonly zone: string;
  readonly ip: string;
  readonly startedAt: number;
  /** No member: a task beside the cluster. */
  readonly isWorker: boolean;
  lastStatus: string;
  desiredStatus: string;
  stoppedReason?: string;
}

export interface SimEcsOptions {
  /** RunTask → RUNNING. */
  readonly startMs: number;
  /** StopTask → STOPPED. */
  readonly stopMs: number;
  /** How long DescribeTasks and ListTasks do not know a new task. */
  readonly staleMs: number;
}

/** ECS as far as it matters: idempotent launches, tasks that come and go in time, late DescribeTasks. */
export class SimEcs implements TaskRuntime {
  readonly tasks = new Map<string, SimTask>();
  readonly #byToken = new Map<string, string>();
  readonly #clock: VirtualClock;
  readonly #options: SimEcsOptions;
  #count = 0;
  /** Errors that the next launches throw, in order. */
  readonly launchFaults: Error[] = [];
  onRunning: (task: SimTask) => void = () => undefined;
  onLaunched: (task: SimTask, request: LaunchRequest) => void = () => undefined;
  onStopped: (task: SimTask) => void = () => undefined;

  constructor(clock: VirtualClock, options: Partial<SimEcsOptions> = {}) {
    this.#clock = clock;
    this.#options = { startMs: 400, stopMs: 800, staleMs: 0, ...options };
  }

  async launch(request: LaunchRequest): Promise<{ taskArn: string }> {
    const fault = this.launchFaults.shift();
    if (fault !== undefined) throw fault;
    const token = `${request.tenantId}-${request.memberName}`;
    const known = this.#byToken.get(token);
    if (known !== undefined) return { taskArn: known };
    const id = String(++this.#count).padStart(32, '0');
    const task: SimTask = {
      taskArn: `arn:aws:ecs:us-east-1:000000000000:task/cell/${id}`,
      tenantId: request.tenantId,
      memberName: request.memberName,
      zone: request.zone,
      ip: `10.0.${Math.floor(this.#count / 250)}.${(this.#count % 250) + 1}`,
      startedAt: this.#clock.now().getTime(),
      isWorker: request.work !== undefined,
      lastStatus: 'PROVISIONING',
      desiredStatus: 'RUNNING',
    };
    this.#byToken.set(token, task.taskArn);
    this.tasks.set(task.taskArn, task);
    this.onLaunched(task, request);
    this.#clock.at(this.#options.startMs, () => {
      if (task.desiredStatus === 'STOPPED') return;
      task.lastStatus = 'RUNNING';
      this.onRunning(task);
    });
    return { taskArn: task.taskArn };
  }

  async describe(_cell: Cell, taskArns: readonly string[]): Promise<TaskView[]> {
    return taskArns.flatMap((taskArn) => {
      const task = this.tasks.get(taskArn);
      return task !== undefined && this.#visible(task) ? [view(task)] : [];
    });
  }

  async list(_cell: Cell, tenantId: string): Promise<string[]> {
    return [...this.tasks.values()]
      .filter((task) => task.tenantId === tenantId && task.lastStatus !== 'STOPPED' && this.#visible(task))
      .map((task) => task.taskArn);
  }

  async stop(_cell: Cell, taskArn: string, reason: string): Promise<void> {
    const task = this.tasks.get(taskArn);
    if (task !== undefined) this.end(task, reason, this.#options.stopMs);
  }

  /** A task ends: asked to, by itself, or because its host died. */
  end(task: SimTask, reason: string, afterMs = 0): void {
    if (task.desiredStatus === 'STOPPED') return;
    task.desiredStatus = 'STOPPED';
    task.stoppedReason = reason;
    this.#clock.at(afterMs, () => {
      task.lastStatus = 'STOPPED';
      this.onStopped(task);
    });
  }

  alive(tenantId?: string): SimTask[] {
    return [...this.tasks.values()].filter(
      (task) => task.lastStatus !== 'STOPPED' && (tenantId === undefined || task.tenantId === tenantId),
    );
  }

  #visible(task: SimTask): boolean {
    return this.#clock.now().getTime() - task.startedAt >= this.#options.staleMs;
  }
}

export const noCapacity = (): TransientError => new TransientError('Capacity is unavailable at this time.');

const view = (task: SimTask): TaskView => ({
  taskArn: task.taskArn,
  lastStatus: task.lastStatus,
  desiredStatus: task.desiredStatus,
  memberName: task.memberName,
  tenantId: task.tenantId,
  ...(task.lastStatus !== 'PROVISIONING' && { privateIp: task.ip }),
  ...(task.stoppedReason !== undefined && { stoppedReason: task.stoppedReason }),
});
