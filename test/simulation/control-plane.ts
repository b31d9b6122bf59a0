import { backupWork } from '../../lambdas/backup/work.ts';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Dispatcher, Duty, Ids, Log } from '../../lambdas/core/ports.ts';
import { reconcile } from '../../lambdas/core/reconcile.ts';
import { createWork } from '../../lambdas/create/work.ts';
import { deleteWork } from '../../lambdas/delete/work.ts';
import { answer } from '../../lambdas/join/route.ts';
import { versionGate } from '../../lambdas/patch/gate.ts';
import { patchWork } from '../../lambdas/patch/work.ts';
import { remediateWork } from '../../lambdas/remediate/work.ts';
import { restoreWork } from '../../lambdas/restore/work.ts';
import { scaleWork } from '../../lambdas/scale/work.ts';
import { noteRetirements } from '../../lambdas/sweep/retirement.ts';
import { sweepDue, sweepTenant } from '../../lambdas/sweep/sweep.ts';
import { countingIds } from '../fakes/counting-ids.ts';
import { FakeKeyVault } from '../fakes/fake-key-vault.ts';
import { createFakePki } from '../fakes/fake-pki.ts';
import { FakeStorageAccess } from '../fakes/fake-storage-access.ts';
import { FakeVolumes } from '../fakes/fake-volumes.ts';
import type { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import type { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { CrashError } from '../fakes/sim/crash.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { simCell } from '../fakes/sim/world.ts';
import type { Fargate, Task } from './fargate.ts';
import type { Nodes } from './nodes.ts';
import type { Random } from './random.ts';
import type { Weather } from './weather.ts';

/** SQS shows a message again this long after a function that died took it, and gives it up after some times. */
const visibilityMs = 70_000;
const maxReceives = 5;
const timeoutMs = 60_000;
/** Messages of one tenant that go round at once before none is doubled any more. */
const mostDoubled = 12;

export interface ControlPlaneOptions {
  readonly clock: VirtualClock;
  readonly store: InMemoryTenantStore;
  readonly names: InMemoryNameRegistry;
  readonly fargate: Fargate;
  readonly nodes: (tenantId: string) => Nodes;
  readonly weather: Weather;
  readonly random: Random;
  /** Something that must not happen. */
  readonly complain: (tenantId: string, what: string) => void;
}

/** Every function of the control plane as Lambda would run it, with its queues, its schedule and its events. */
export class ControlPlane {
  readonly ids: Ids = countingIds();
  looks = 0;
  pending = 0;
  readonly #o: ControlPlaneOptions;
  readonly #vault = new FakeKeyVault();
  readonly #storage;
  readonly #pki;

  constructor(options: ControlPlaneOptions) {
    this.#o = options;
    const { clock, fargate } = options;
    this.#storage = new FakeStorageAccess(clock);
    this.#pki = createFakePki(clock);
    fargate.onStopped = (task) => void this.dispatcher.look(task.tenantId, 'sweep');
    const everyMinute = (): void => {
      clock.at(60_000, everyMinute);
      const ports = { store: options.store, dispatcher: this.dispatcher, clock };
      const deps = { ...options.weather.invocation(ports), cell: simCell };
      sweepDue(deps).catch((error: unknown) => this.#failed('', error));
    };
    clock.at(options.random.int(0, 60_000), everyMinute);
  }

  readonly dispatcher: Dispatcher = {
    // Nobody patches this fleet.
    lookAtFleet: async () => undefined,
    look: async (tenantId, duty, delaySeconds = 0) => {
      // There is no CloudWatch in this world.
      if (duty === 'alarms') return;
      const { weather, random } = this.#o;
      let [copies, lateMs] = [1, 20];
      for (const { fault, random: its } of weather.on('messages')) {
        if (its.chance(fault.lost)) copies = 0;
        // A look that finds the tenant busy is sent again: doubled each time, it would be an avalanche that SQS never is.
        else if (this.pending < mostDoubled && its.chance(fault.doubled)) copies += 1;
        if (its.chance(0.5)) lateMs += its.int(0, fault.lateMs);
      }
      for (let copy = 0; copy < copies; copy++) {
        this.#enqueue(tenantId, duty, delaySeconds * 1_000 + lateMs + random.int(0, 30), 1);
      }
    },
  };

  async callJoin(route: string, body: unknown, task: Task): Promise<unknown> {
    const session = task.taskArn.split('/').at(-1)!;
    const userArn = `arn:aws:sts::000000000000:assumed-role/TaskRole/${session}`;
    try {
      const { statusCode, body: text } = await answer(
        { ...this.#o.weather.invocation(this.#ports(task.tenantId)), cell: simCell },
        {
          path: `/${route}`,
          httpMethod: 'POST',
          body: JSON.stringify(body),
          requestContext: { requestId: 'request-1', identity: { userArn, sourceIp: task.ip } },
        },
      );
      if (statusCode === 500 && this.#lastError !== undefined) {
        this.#o.complain(task.tenantId, `${route} answers 500: ${this.#lastError}`);
      }
      return statusCode === 200 ? JSON.parse(text) : undefined;
    } catch (error) {
      this.#failed(task.tenantId, error);
      return undefined;
    }
  }

  /** Disks here go with their tasks. */
  readonly #volumes = new FakeVolumes();
  #lastError: string | undefined;

  async look(tenantId: string, duty: Duty): Promise<unknown> {
    this.looks += 1;
    const deps = { ...this.#o.weather.invocation(this.#ports(tenantId)), cell: simCell };
    if (duty === 'sweep') return sweepTenant({ ...deps, metrics: { tenant: () => undefined } }, tenantId);
    const objects = this.#o.nodes(tenantId).bucket;
    const work = {
      create: () => createWork(deps),
      delete: () => deleteWork(deps),
      scale: () => scaleWork(deps),
      patch: () => patchWork({ ...deps, gate: versionGate }),
      backup: () => backupWork({ ...deps, objects }),
      remediate: () => remediateWork({ ...deps, objects }),
      restore: () => restoreWork(deps),
    }[duty as Exclude<Duty, 'sweep' | 'alarms'>]();
    const deadline = new Date(deps.clock.now().getTime() + timeoutMs - 3_000);
    return reconcile(deps, work, tenantId, deadline);
  }

  #enqueue(tenantId: string, duty: Duty, delayMs: number, receive: number): void {
    this.pending += 1;
    this.#o.clock.at(delayMs, () => {
      this.pending -= 1;
      this.look(tenantId, duty).catch((error: unknown) => {
        this.#failed(tenantId, error);
        if (receive < maxReceives) this.#enqueue(tenantId, duty, visibilityMs, receive + 1);
      });
    });
  }

  /** A look may die, and may meet passing faults; anything else is a bug. */
  #failed(tenantId: string, error: unknown): void {
    if (error instanceof CrashError || isPassing(error)) return;
    this.#o.complain(tenantId, `a function throws: ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** AWS means to end a task: its notice is a message on the sweep's queue as any other. */
  retire(task: Task, date: string, receive = 1): void {
    const deps = { ...this.#o.weather.invocation(this.#ports(task.tenantId)), cell: simCell };
    noteRetirements(deps, [{ taskArns: [task.taskArn], date }]).catch((error: unknown) => {
      this.#failed(task.tenantId, error);
      if (receive < maxReceives) this.#o.clock.at(visibilityMs, () => this.retire(task, date, receive + 1));
    });
  }

  #ports(tenantId: string) {
    const { store, names, clock, fargate, nodes } = this.#o;
    return {
      store,
      names,
      vault: this.#vault,
      storage: this.#storage,
      clock,
      ids: this.ids,
      runtime: fargate,
      volumes: this.#volumes,
      nannies: nodes(tenantId),
      pki: this.#pki,
      dispatcher: this.dispatcher,
      log: this.#log,
    };
  }

  /** The join function tells of its bugs only in its log. */
  readonly #log: Log = {
    info: () => undefined,
    warn: () => undefined,
    error: (message, fields) => {
      const error = fields?.error;
      this.#lastError =
        error instanceof CrashError ? undefined : error instanceof Error ? String(error.stack) : message;
    },
  };
}

const isPassing = (error: unknown): boolean => error instanceof ControlPlaneError && error.retryable;
