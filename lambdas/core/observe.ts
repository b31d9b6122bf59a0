import { ControlPlaneError } from './errors.ts';
import { membersOf, taskArnsOf } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Cell, Clock, NameRegistry, NannyClient, TaskRuntime, TaskView } from './ports.ts';
import type { NannySeen, Observation } from './step.ts';

export interface ObserveDeps {
  readonly cell: Cell;
  readonly clock: Clock;
  readonly runtime: Pick<TaskRuntime, 'describe' | 'list'>;
  /** Absent: nannies are not asked. */
  readonly nannies?: Pick<NannyClient, 'status'>;
  /** Absent: the name service is not asked. */
  readonly names?: Pick<NameRegistry, 'listInstances'>;
}

export interface ObserveOptions {
  /** Also ask ECS for all tasks of the tenant, not only for those on record. */
  readonly listTasks?: (tenant: TenantRecord) => boolean;
  readonly askNannies?: (tenant: TenantRecord) => boolean;
}

export interface Observer {
  observe(tenant: TenantRecord): Promise<Observation>;
  /** What was seen of tasks is out of date: something was just changed. */
  forget(): void;
}

/** While a look stays awake it polls nannies often, but ECS not more than this: its calls are throttled. */
const tasksFreshMs = 800;
/** Only we change names, and `forget` is called when we have. */
const namesFreshMs = 10_000;

export function createObserver(deps: ObserveDeps, options: ObserveOptions): Observer {
  let cached: { key: string; at: number; tasks: Record<string, TaskView> } | undefined;
  let named: { serviceId: string; at: number; names: string[] } | undefined;

  const tasks = async (tenant: TenantRecord): Promise<Record<string, TaskView>> => {
    const known = taskArnsOf(tenant);
    const list = options.listTasks?.(tenant) ?? false;
    if (known.length === 0 && !list) return {};
    const key = [list, ...known].join();
    const now = deps.clock.now().getTime();
    if (cached?.key === key && now - cached.at < tasksFreshMs) return cached.tasks;
    const listed = list ? await deps.runtime.list(deps.cell, tenant.tenantId) : [];
    const arns = [...new Set([...known, ...listed])];
    const views = arns.length === 0 ? [] : await deps.runtime.describe(deps.cell, arns);
    cached = { key, at: now, tasks: Object.fromEntries(views.map((view) => [view.taskArn, view])) };
    return cached.tasks;
  };

  const names = async (tenant: TenantRecord): Promise<string[]> => {
    const serviceId = tenant.nameServiceId;
    if (deps.names === undefined || serviceId === undefined) return [];
    const now = deps.clock.now().getTime();
    if (named?.serviceId === serviceId && now - named.at < namesFreshMs) return named.names;
    named = { serviceId, at: now, names: Object.keys(await deps.names.listInstances(serviceId)) };
    return named.names;
  };

  let last: Observation | undefined;
  return {
    async observe(tenant) {
      const [seenTasks, nannies, registered] = await Promise.all([
        tasks(tenant),
        options.askNannies?.(tenant) ? askNannies(deps.nannies, tenant, last && silent(tenant, last)) : {},
        names(tenant),
      ]);
      last = { tasks: seenTasks, nannies, names: registered };
      return last;
    },
    forget: () => {
      cached = undefined;
      named = undefined;
    },
  };
}

/**
 * Who has been asked once in vain and whose task has stopped, as ECS says. Asked again and again, each of them would hold
 * up every look by the two seconds in which nothing answers at an address that nobody has any more.
 */
export function silent(tenant: TenantRecord, { tasks, nannies }: Observation): Record<string, NannySeen> {
  return Object.fromEntries(
    membersOf(tenant).flatMap((member) => {
      const task = 'taskArn' in member && member.taskArn !== undefined ? tasks[member.taskArn] : undefined;
      const nanny = nannies[member.name];
      return task?.lastStatus === 'STOPPED' && nanny?.reachable === false ? [[member.name, nanny]] : [];
    }),
  );
}

/** @param known is not asked again */
export async function askNannies(
  nannies: ObserveDeps['nannies'],
  tenant: TenantRecord,
  known: Readonly<Record<string, NannySeen>> = {},
): Promise<Record<string, NannySeen>> {
  if (nannies === undefined || tenant.pki === undefined) return {};
  const reachable = membersOf(tenant).flatMap((member) =>
    member.state !== 'leaving' && 'ip' in member ? [{ name: member.name, ip: member.ip }] : [],
  );
  const answers = await Promise.all(
    reachable.map(async ({ name, ip }): Promise<[string, NannySeen]> => {
      if (known[name] !== undefined) return [name, known[name]];
      try {
        const status = await nannies.status({ tenant, ip });
        // Addresses are used again: who answers has to be who was meant.
        return status.memberName === name
          ? [name, { reachable: true, status }]
          : [name, { reachable: false, problem: `${status.memberName} answers at its address` }];
      } catch (error) {
        // A right that this function lacks says nothing about the nanny.
        if (error instanceof ControlPlaneError && error.code === 'access-denied') throw error;
        return [name, { reachable: false, problem: error instanceof Error ? error.message : String(error) }];
      }
    }),
  );
  return Object.fromEntries(answers);
}
