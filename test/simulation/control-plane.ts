import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Dispatcher, Duty, Ids, Log, Pki } from '../../lambdas/core/ports.ts';
import { reconcile } from '../../lambdas/core/reconcile.ts';
import { createWork } from '../../lambdas/create/work.ts';
import { deleteWork } from '../../lambdas/delete/work.ts';
import { answer } from '../../lambdas/join/route.ts';
import { versionGate } from '../../lambdas/patch/gate.ts';
import { patchWork } from '../../lambdas/patch/work.ts';
import { remediateWork } from '../../lambdas/remediate/work.ts';
import { scaleWork } from '../../lambdas/scale/work.ts';
import { sweepDue, sweepTenant } from '../../lambdas/sweep/sweep.ts';
import { FakeKeyVault } from '../fakes/fake-key-vault.ts';
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
  readonly nodes: () => Nodes;
  readonly weather: Weather;
  readonly random: Random;
  /** Something that must not happen. */
  readonly complain: (what: string) => void;
}

/** Every function of the control plane as Lambda would run it, with its queues, its schedule and its events. */
export class ControlPlane {
  readonly ids: Ids = countingIds();
  looks = 0;
  pending = 0;
  readonly #o: ControlPlaneOptions;
  readonly #vault = new FakeKeyVault();

  constructor(options: ControlPlaneOptions) {
    this.#o = options;
    const { clock, fargate } = options;
    fargate.onStopped = (task) => void this.dispatcher.look(task.tenantId, 'sweep');
    const everyMinute = (): void => {
      clock.at(60_000, everyMinute);
      const { store, dispatcher, clock: time } = this.#ports();
      const deps = { ...options.weather.invocation({ store, dispatcher, clock: time }), cell: simCell };
      sweepDue(deps).catch((error: unknown) => this.#failed(error));
    };
    clock.at(options.random.int(0, 60_000), everyMinute);
  }

  readonly dispatcher: Dispatcher = {
    look: async (tenantId, duty, delaySeconds = 0) => {
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
        { ...this.#o.weather.invocation(this.#ports()), cell: simCell },
        {
          path: `/${route}`,
          httpMethod: 'POST',
          body: JSON.stringify(body),
          requestContext: { requestId: 'request-1', identity: { userArn, sourceIp: task.ip } },
        },
      );
      if (statusCode === 500 && this.#lastError !== undefined) {
        this.#o.complain(`${route} answers 500: ${this.#lastError}`);
      }
      return statusCode === 200 ? JSON.parse(text) : undefined;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #lastError: string | undefined;

  async look(tenantId: string, duty: Duty): Promise<unknown> {
    this.looks += 1;
    const deps = { ...this.#o.weather.invocation(this.#ports()), cell: simCell };
    if (duty === 'sweep') return sweepTenant(deps, tenantId);
    const work = {
      create: () => createWork(deps),
      delete: () => deleteWork(deps),
      scale: () => scaleWork(deps),
      patch: () => patchWork({ ...deps, gate: versionGate }),
      remediate: () => remediateWork(deps),
    }[duty]();
    const deadline = new Date(deps.clock.now().getTime() + timeoutMs - 3_000);
    return reconcile(deps, work, tenantId, deadline);
  }

  #enqueue(tenantId: string, duty: Duty, delayMs: number, receive: number): void {
    this.pending += 1;
    this.#o.clock.at(delayMs, () => {
      this.pending -= 1;
      this.look(tenantId, duty).catch((error: unknown) => {
        this.#failed(error);
        if (receive < maxReceives) this.#enqueue(tenantId, duty, visibilityMs, receive + 1);
      });
    });
  }

  /** A look may die, and may meet passing faults; anything else is a bug. */
  #failed(error: unknown): void {
    if (error instanceof CrashError || isPassing(error)) return;
    this.#o.complain(`a function throws: ${error instanceof Error ? error.stack : String(error)}`);
  }

  #ports() {
    const { store, names, clock, fargate, nodes } = this.#o;
    return {
      store,
      names,
      vault: this.#vault,
      clock,
      ids: this.ids,
      runtime: fargate,
      nannies: nodes(),
      pki: fakePki,
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

function countingIds(): Ids {
  let count = 0;
  return {
    ulid: () => String(++count).padStart(26, '0'),
    memberName: () => `m${(++count).toString(36).padStart(8, '0')}`,
    clusterToken: () => (++count).toString(16).padStart(32, '0'),
  };
}

const fakePki: Pki = {
  createAuthority: async (tenantId) => ({ certificate: `CA of ${tenantId}`, key: 'ca-key' }),
  createControlPlaneLeaf: async () => ({ certificate: 'control-plane', key: 'key' }),
  signMemberLeaves: async (_ca, _identity, _csrs, caBundle) => {
    const notAfter = '2026-01-31T00:00:00.000Z';
    return { caBundle, peer: 'leaf', server: 'leaf', admin: 'leaf', client: 'leaf', notAfter };
  },
  signClient: async () => ({ certificate: 'c', notAfter: '2026-01-31T00:00:00.000Z', serialNumber: '01' }),
  createClientKey: async () => ({ key: 'k', csr: 'c' }),
};
