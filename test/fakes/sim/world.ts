import { type BackupWorkDeps, backupWork, lookAtBackups } from '../../../lambdas/backup/work.ts';
import { wantFinal } from '../../../lambdas/core/backup/final.ts';
import { dutyOf } from '../../../lambdas/core/duty.ts';
import type { TenantFigures } from '../../../lambdas/core/metrics.ts';
import type { OperationKind } from '../../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { Cell, Dispatcher, Duty, Ids, Log, MetricSink } from '../../../lambdas/core/ports.ts';
import { reconcile, type Work } from '../../../lambdas/core/reconcile.ts';
import { updateTenant } from '../../../lambdas/core/update-tenant.ts';
import { type CreateWorkDeps, createWork } from '../../../lambdas/create/work.ts';
import { type DeleteWorkDeps, deleteWork } from '../../../lambdas/delete/work.ts';
import { answer } from '../../../lambdas/join/route.ts';
import { versionGate } from '../../../lambdas/patch/gate.ts';
import { patchWork } from '../../../lambdas/patch/work.ts';
import { type RemediateWorkDeps, remediateWork } from '../../../lambdas/remediate/work.ts';
import { type RestoreWorkDeps, restoreWork } from '../../../lambdas/restore/work.ts';
import { scaleWork } from '../../../lambdas/scale/work.ts';
import { sweepDisks } from '../../../lambdas/sweep/disks.ts';
import { sweepDue, sweepTenant } from '../../../lambdas/sweep/sweep.ts';
import { countingIds } from '../counting-ids.ts';
import { FakeKeyVault } from '../fake-key-vault.ts';
import { createFakePki } from '../fake-pki.ts';
import { FakeStorageAccess } from '../fake-storage-access.ts';
import { FakeVolumes } from '../fake-volumes.ts';
import { InMemoryNameRegistry } from '../in-memory-name-registry.ts';
import { InMemoryTenantStore } from '../in-memory-tenant-store.ts';
import { CrashError, CrashingPorts, type CrashPoint } from './crash.ts';
import { SimEcs, type SimEcsOptions, type SimTask } from './sim-ecs.ts';
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
    backup: 'https://q/backup',
    restore: 'https://q/restore',
    alarms: 'https://q/alarms',
  },
  backupBucket: 'backups',
  backupRoleArn: 'arn:aws:iam::111122223333:role/backup-access',
};

export interface WorldOptions {
  readonly ecs?: Partial<SimEcsOptions>;
  /** Life of a tenant's certificate authority. @default ten years */
  readonly authorityLifeMs?: number;
  /** Kills the process of this function at one of its calls. */
  readonly crash?: { readonly function: Duty | 'join'; readonly point: CrashPoint };
  /** Copies of each message, and how late each may be. */
  readonly messages?: {
    readonly copies?: number;
    readonly delayMs?: (n: number) => number;
    readonly lost?: (n: number) => boolean;
  };
}

type Deps = CreateWorkDeps & DeleteWorkDeps & RestoreWorkDeps & RemediateWorkDeps & BackupWorkDeps;
const workOf: Partial<Record<Duty, (deps: Deps) => Work>> = {
  create: createWork,
  delete: deleteWork,
  scale: scaleWork,
  remediate: remediateWork,
  backup: backupWork,
  restore: restoreWork,
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
  readonly cell = simCell;
  readonly volumes = new FakeVolumes();
  readonly storage = new FakeStorageAccess(this.clock);
  readonly pki;
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
    this.pki = createFakePki(this.clock, options.authorityLifeMs);
    this.ecs = new SimEcs(this.clock, options.ecs);
    this.ports = new CrashingPorts(options.crash?.point);
    this.members = new SimMembers(this.clock, this.ecs, (route, body, caller) =>
      this.callJoin(route, body, caller),
    );
    this.members.isLatched = async (tenantId, token) => {
      const tenant = await this.store.get(tenantId);
      return tenant?.incarnation.state === 'formed' && tenant.incarnation.token === token;
    };
    this.ecs.onStopped = (task) => {
      this.#release(task);
      void this.dispatcher.look(task.tenantId, 'sweep');
    };
    this.ecs.onLaunched = (task, { volume, keepDisk, work }) => {
      if (volume !== 'ebs') return;
      const { tenantId, memberName, taskArn } = task;
      const createdAt = this.clock.now().toISOString();
      this.volumes.attach({ volumeId: `vol-${memberName}`, tenantId, memberName, createdAt }, taskArn);
      if (keepDisk) this.#kept.add(taskArn);
      // What was on the copy when it was made.
      if (work?.snapshotId !== undefined)
        this.members.bucket.disks.set(memberName, this.volumes.revisionOf(work.snapshotId));
    };
    const everyMinute = (): void => {
      this.clock.at(60_000, everyMinute);
      void sweepDue({ ...this.#all(), dispatcher: this.dispatcher });
      void sweepDisks(this.#all());
    };
    everyMinute();
  }

  readonly dispatcher: Dispatcher = {
    // Nobody patches this fleet.
    lookAtFleet: async () => undefined,
    look: async (tenantId, duty, delaySeconds = 0) => {
      // There is no CloudWatch in this world.
      if (duty === 'alarms') {
        this.alarmLooks.push(tenantId);
        return;
      }
      const { copies = 1, delayMs = () => 0, lost = () => false } = this.#options.messages ?? {};
      for (let copy = 0; copy < copies; copy++) {
        const number = ++this.messagesSent;
        if (!lost(number)) this.#enqueue(tenantId, duty, delaySeconds * 1000 + queueMs + delayMs(number));
      }
    },
  };

  /** Tenants whose alarms somebody asked for. */
  readonly alarmLooks: string[] = [];
  readonly figures: { readonly at: number; readonly tenantId: string; readonly figures: TenantFigures }[] =
    [];

  readonly #kept = new Set<string>();

  /** Its disk stays with all that its etcd had applied, or goes with it. */
  #release(task: SimTask): void {
    const keep = this.#kept.has(task.taskArn) && !this.diskless;
    this.volumes.release(task.taskArn, keep, this.members.members.get(task.memberName)?.applied ?? 0);
  }
  /** Disks are lost with their tasks from now on. */
  diskless = false;

  /** As the API does it: record, operation, look. */
  async createTenant(tenantId: string, spec: Partial<TenantRecord['spec']> = {}): Promise<void> {
    const { record, operation } = newTenant(tenantId, this.clock.now(), this.ids, spec);
    await this.store.create(record);
    await this.store.putOperation(operation);
    await this.dispatcher.look(tenantId, 'create');
  }

  async deleteTenant(tenantId: string, { finalBackup = false, lookLost = false } = {}): Promise<string> {
    const operationId = this.ids.ulid();
    for (;;) {
      const tenant = (await this.store.get(tenantId))!;
      const at = this.clock.now().toISOString();
      const saved = finalBackup ? wantFinal(tenant, operationId, this.clock.now()) : tenant;
      const next: TenantRecord = {
        ...saved,
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
    if (finalBackup && !lookLost) await this.dispatcher.look(tenantId, 'backup');
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
    const metrics: MetricSink = {
      fleet: () => undefined,
      tenant: (id, figures) =>
        void this.figures.push({ at: this.clock.now().getTime(), tenantId: id, figures }),
    };
    const deps = { ...this.#invocation(duty), cell: simCell, metrics };
    if (duty === 'sweep') return sweepTenant(deps, tenantId);
    const work = workOf[duty]?.(deps);
    if (work === undefined) return undefined;
    const deadline = new Date(this.clock.now().getTime() + 57_000);
    return duty === 'backup'
      ? lookAtBackups(deps, work, tenantId, deadline)
      : reconcile(deps, work, tenantId, deadline);
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
    const { store, names, vault, storage, clock, ids } = this;
    return {
      store,
      names,
      vault,
      storage,
      clock,
      ids,
      runtime: this.ecs,
      volumes: this.volumes,
      nannies: this.members,
      objects: this.members.bucket,
      pki: this.pki,
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

/** Every task that was ever launched as a member; drills come and go beside them. */
export const memberTasks = ({ ecs }: World): SimTask[] =>
  [...ecs.tasks.values()].filter(({ isWorker }) => !isWorker);

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
