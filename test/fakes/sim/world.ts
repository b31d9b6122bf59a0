import { dutyOf } from '../../../lambdas/core/duty.ts';
import { InvalidRequestError } from '../../../lambdas/core/errors.ts';
import type { OperationKind } from '../../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { OperationDeps } from '../../../lambdas/core/operation-work.ts';
import type { Cell, Dispatcher, Duty, Ids, Log, Pki } from '../../../lambdas/core/ports.ts';
import { type ReconcileDeps, reconcile, type Work } from '../../../lambdas/core/reconcile.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { type CreateWorkDeps, createWork } from '../../../lambdas/create/work.ts';
import { deleteWork } from '../../../lambdas/delete/work.ts';
import { answer } from '../../../lambdas/join/route.ts';
import { versionGate } from '../../../lambdas/patch/gate.ts';
import { patchWork } from '../../../lambdas/patch/work.ts';
import { remediateWork } from '../../../lambdas/remediate/work.ts';
import { scaleWork } from '../../../lambdas/scale/work.ts';
import { sweepDue, sweepTenant } from '../../../lambdas/sweep/sweep.ts';
import { FakeKeyVault } from '../fake-key-vault.ts';
import { InMemoryNameRegistry } from '../in-memory-name-registry.ts';
import { InMemoryTenantStore } from '../in-memory-tenant-store.ts';
import { CrashError, CrashingPorts, type CrashPoint } from './crash.ts';
import { SimEcs, type SimEcsOptions } from './sim-ecs.ts';
import { SimMembers } from './sim-members.ts';
import { newTenant } from './tenants.ts';
import { VirtualClock } from './virtual-clock.ts';

export const simCell: Cell = {
  id: 'cell-1',
  clusterArn: 'arn:aws:ecs:us-east-1:000000000000:cluster/cell',
  taskDefinitions: { ebs: 'node-ebs:1', ephemeral: 'node-ephemeral:1' },
  containerName: 'node',
  subnets: ['a', 'b', 'c'].map((zone) => ({ zone: `us-east-1${zone}`, subnetId: `subnet-${zone}` })),
  securityGroupId: 'sg-1',
  infrastructureRoleArn: 'arn:aws:iam::000000000000:role/infrastructure',
  namespaceId: 'ns-1',
  namespaceName: 'etcd.internal',
  queues: {
    create: 'https://q/create',
    delete: 'https://q/delete',
    sweep: 'https://q/sweep',
    scale: 'https://q/scale',
    patch: 'https://q/patch',
    remediate: 'https://q/remediate',
  },
  backupBucket: 'backups',
};

export interface WorldOptions {
  readonly ecs?: Partial<SimEcsOptions>;
  /** Kills the process of this function at one of its calls. */
  readonly crash?: { readonly function: Duty | 'join'; readonly point: CrashPoint };
  /** Copies of each message, and how late each may be. */
  readonly messages?: {
    readonly copies?: number;
    readonly delayMs?: (n: number) => number;
    readonly lost?: (n: number) => boolean;
  };
}

type Deps = ReconcileDeps & CreateWorkDeps & OperationDeps;
const workOf: Partial<Record<Duty, (deps: Deps) => Work>> = {
  create: createWork,
  delete: deleteWork,
  scale: scaleWork,
  remediate: remediateWork,
  patch: (deps) => patchWork({ ...deps, gate: versionGate }),
};

/** SQS shows a message again this long after a crashed function took it. */
const visibilityMs = 70_000;
const queueMs = 20;

/** The whole control plane against a small simulated AWS and etcd, in virtual time. */
export class World {
  readonly clock = new VirtualClock();
  readonly store = new InMemoryTenantStore({ now: () => this.clock.now() });
  readonly names = new InMemoryNameRegistry();
  readonly vault = new FakeKeyVault();
  readonly ecs: SimEcs;
  readonly members: SimMembers;
  readonly ids: Ids = countingIds();
  readonly ports: CrashingPorts;
  readonly errors: unknown[] = [];
  messagesSent = 0;
  messagesPending = 0;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.ecs = new SimEcs(this.clock, options.ecs);
    this.ports = new CrashingPorts(options.crash?.point);
    this.members = new SimMembers(this.clock, this.ecs, (route, body, caller) =>
      this.callJoin(route, body, caller),
    );
    this.members.isLatched = async (tenantId, token) => {
      const tenant = await this.store.get(tenantId);
      return tenant?.incarnation.state === 'formed' && tenant.incarnation.token === token;
    };
    this.ecs.onStopped = (task) => void this.dispatcher.look(task.tenantId, 'sweep');
    const everyMinute = (): void => {
      this.clock.at(60_000, everyMinute);
      void sweepDue({ ...this.#all(), dispatcher: this.dispatcher });
    };
    everyMinute();
  }

  readonly dispatcher: Dispatcher = {
    look: async (tenantId, duty, delaySeconds = 0) => {
      const { copies = 1, delayMs = () => 0, lost = () => false } = this.#options.messages ?? {};
      for (let copy = 0; copy < copies; copy++) {
        const number = ++this.messagesSent;
        if (!lost(number)) this.#enqueue(tenantId, duty, delaySeconds * 1000 + queueMs + delayMs(number));
      }
    },
  };

  /** As the API does it: record, operation, look. */
  async createTenant(tenantId: string, spec: Partial<TenantRecord['spec']> = {}): Promise<void> {
    const { record, operation } = newTenant(tenantId, this.clock.now(), this.ids, spec);
    await this.store.create(record);
    await this.store.putOperation(operation);
    await this.dispatcher.look(tenantId, 'create');
  }

  async deleteTenant(tenantId: string): Promise<string> {
    const operationId = this.ids.ulid();
    for (;;) {
      const tenant = (await this.store.get(tenantId))!;
      const at = this.clock.now().toISOString();
      const next: TenantRecord = {
        ...tenant,
        recordVersion: tenant.recordVersion + 1,
        status: { phase: 'deleting', conditions: [], since: at },
        operation: { operationId, kind: 'delete' },
        nextCheckAt: at,
      };
      try {
        await this.store.save(next, tenant.recordVersion);
        break;
      } catch {}
    }
    await this.dispatcher.look(tenantId, 'delete');
    return operationId;
  }

  /** As the API does it: a spec change that needs an operation. */
  async changeSpec(
    tenantId: string,
    kind: OperationKind,
    spec: Partial<TenantRecord['spec']>,
    more: Partial<TenantRecord> = {},
  ): Promise<string> {
    const operationId = this.ids.ulid();
    const change = (tenant: TenantRecord): TenantRecord => ({
      ...tenant,
      ...more,
      generation: tenant.generation + 1,
      spec: { ...tenant.spec, ...spec },
      operation: { operationId, kind },
    });
    await updateTenant(this, (await this.store.get(tenantId))!, change);
    const tenant = (await this.store.get(tenantId))!;
    await this.dispatcher.look(tenantId, dutyOf(tenant));
    return operationId;
  }

  /** Runs until `done`, at most `seconds` of virtual time. @returns whether it came to that */
  async until(done: () => boolean | Promise<boolean>, seconds = 900): Promise<boolean> {
    const limit = this.clock.now().getTime() + seconds * 1000;
    while (!(await done())) {
      if (!(await this.clock.step(limit))) return false;
    }
    return true;
  }

  async settle(seconds: number): Promise<void> {
    await this.until(() => false, seconds);
  }

  async callJoin(
    route: string,
    body: unknown,
    caller: { session: string; sourceIp: string },
  ): Promise<{ status: number; body: unknown }> {
    const deps = this.#invocation('join');
    try {
      const result = await answer(
        { ...deps, cell: simCell },
        {
          path: `/${route}`,
          httpMethod: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          requestContext: {
            requestId: 'request-1',
            identity: {
              userArn: `arn:aws:sts::000000000000:assumed-role/TaskRole/${caller.session}`,
              sourceIp: caller.sourceIp,
            },
          },
        },
      );
      return { status: result.statusCode, body: JSON.parse(result.body) };
    } catch (error) {
      if (!(error instanceof CrashError)) this.errors.push(error);
      return { status: 500, body: {} };
    }
  }

  /** One invocation of a queue's function, now. */
  async look(tenantId: string, duty: Duty): Promise<unknown> {
    const deps = { ...this.#invocation(duty), cell: simCell };
    if (duty === 'sweep') return sweepTenant(deps, tenantId);
    const work = workOf[duty]?.(deps);
    if (work === undefined) return undefined;
    return reconcile(deps, work, tenantId, new Date(this.clock.now().getTime() + 57_000));
  }

  #enqueue(tenantId: string, duty: Duty, delayMs: number): void {
    this.messagesPending++;
    this.clock.at(delayMs, () => {
      this.messagesPending--;
      void this.look(tenantId, duty).catch((error: unknown) => {
        if (!(error instanceof CrashError)) this.errors.push(error);
        this.#enqueue(tenantId, duty, visibilityMs);
      });
    });
  }

  #all() {
    const { store, names, vault, clock, ids } = this;
    return {
      store,
      names,
      vault,
      clock,
      ids,
      runtime: this.ecs,
      nannies: this.members,
      pki: fakePki,
      dispatcher: this.dispatcher,
      log: silent,
      cell: simCell,
    };
  }

  #invocation(name: Duty | 'join') {
    const { cell: _cell, ...ports } = this.#all();
    return (this.#options.crash?.function ?? 'create') === name ? this.ports.invocation(ports) : ports;
  }
}

/** Runs until nothing is left to do for the tenant, and nothing is wrong with it. */
export function untilHealthy(world: World, tenantId: string, seconds = 900): Promise<boolean> {
  return world.until(async () => {
    const tenant = await world.store.get(tenantId);
    const working = tenant === undefined || tenant.operation !== undefined || tenant.lease !== undefined;
    return !working && (await problemsOf(world, tenantId)).length === 0;
  }, seconds);
}

/** Everything that has to be true of a tenant that was created, besides what the record itself says. */
export async function problemsOf(world: World, tenantId: string): Promise<string[]> {
  const tenant = await world.store.get(tenantId);
  if (tenant === undefined) return ['there is no record'];
  const problems = [...world.members.violations, ...world.errors.map(String)];
  const members = Object.values(tenant.members);
  const must = (holds: boolean, otherwise: string): void => void (holds || problems.push(otherwise));
  must(tenant.status.phase === 'available', `phase is ${tenant.status.phase}`);
  must(tenant.operation === undefined && dutyOf(tenant) === 'sweep', 'the operation is not closed');
  must(tenant.lease === undefined, 'somebody holds the lease');
  must(members.length === tenant.spec.members, `${members.length} members`);
  must(
    members.every((member) => member.state === 'voting'),
    'not all members are voting',
  );
  must(tenant.backoff === undefined, 'there is a back-off');
  const tasks = world.ecs.alive(tenantId);
  const owned = members.flatMap((member) => ('taskArn' in member ? [member.taskArn] : []));
  must(
    tasks
      .map((task) => task.taskArn)
      .sort()
      .join() === owned.sort().join(),
    `tasks alive: ${tasks.map((task) => task.memberName)}, members: ${members.map((member) => member.name)}`,
  );
  must(
    members.every((member) => world.members.members.get(member.name)?.state === 'ready'),
    'not every etcd is ready',
  );
  const registered = [...world.names.services.values()].filter((service) => service.tenantId === tenantId);
  must(
    registered.length === 1 && registered[0]!.instances.size === members.length,
    'names are not registered',
  );
  for (const member of members) {
    if ('ip' in member)
      must(registered[0]?.instances.get(member.name) === member.ip, `address of ${member.name}`);
  }
  const { items } = await world.store.listOperations(tenantId, { limit: 10 });
  must(
    items.every((operation) => operation.state === 'succeeded'),
    'an operation has not succeeded',
  );
  return problems;
}

const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

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
  signMemberLeaves: async (_ca, _identity, csrs, caBundle) => {
    const bad = Object.entries(csrs).find(([, csr]) => csr.startsWith('bad'));
    if (bad)
      throw new InvalidRequestError('The request is bad.', [{ field: `csrs.${bad[0]}`, message: 'is bad' }]);
    const leaf = 'leaf';
    return {
      caBundle,
      peer: leaf,
      server: leaf,
      admin: leaf,
      client: leaf,
      notAfter: '2026-01-31T00:00:00.000Z',
    };
  },
  signClient: async () => ({ certificate: 'c', notAfter: '2026-01-31T00:00:00.000Z', serialNumber: '01' }),
  createClientKey: async () => ({ key: 'k', csr: 'c' }),
};
