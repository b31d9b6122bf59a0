import { TransientError } from '../../lambdas/core/errors.ts';
import type { Operation, TimelineEvent } from '../../lambdas/core/model/operation.ts';
import { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { ControlPlane } from './control-plane.ts';
import { Fargate } from './fargate.ts';
import { inflict } from './faults.ts';
import { WatchedStore } from './judge.ts';
import { Network } from './network.ts';
import { randomOf } from './random.ts';
import { type Script, tellScript } from './script.ts';
import { beginLife, type TenantLife, tenantLife } from './tenant-life.ts';
import { SimVolumes } from './volumes.ts';
import { Weather } from './weather.ts';

export interface Result {
  readonly script: Script;
  /** Empty: all was as it must be. */
  readonly problems: readonly string[];
  readonly virtualSeconds: number;
  readonly looks: number;
  readonly writes: number;
  readonly incarnations: number;
  /** All that was written for people, oldest first. */
  readonly events: () => Promise<TimelineEvent[]>;
  readonly operations: () => Promise<Operation[]>;
}

/** Converged by then, or it is a bug: holds, back-off, and several ten-minute limits one after the other. */
const deadlineS = 100 * 60;
/** Stays converged for so long. */
const restS = 150;

const tenantName = (index: number): string => (index === 0 ? 'acme' : `tenant-${index}`);

/** One history of some tenants, mostly one, from their creation on. The same script gives the same history, always. */
export async function runHistory(script: Script): Promise<Result> {
  const { seed, quietS } = script;
  const clock = new VirtualClock();
  const start = clock.now().getTime();
  const weather = new Weather(clock, seed);
  const network = new Network();
  const store = new WatchedStore(() => clock.now());
  const names = new InMemoryNameRegistry();
  const zoneOut = (zone: string): boolean =>
    weather.on('zone-dies').some(({ fault }) => fault.zone === zone) ||
    weather.on('no-capacity').some(({ fault }) => fault.zone === undefined || fault.zone === zone);
  const fargate = new Fargate(
    clock,
    {
      launching: ({ zone }) => {
        if (zoneOut(zone)) throw new TransientError('Capacity is unavailable at this time.');
      },
      stillborn: () =>
        weather.on('stillborn-tasks').some(({ fault, random }) => random.chance(fault.share))
          ? 'CannotPullContainerError'
          : undefined,
      staleMs: () => Math.max(0, ...weather.on('stale-tasks').map(({ fault }) => fault.ms)),
      isolated: (task) => network.isolated(task),
      diskLost: () => weather.on('disks-lost').some(({ fault, random }) => random.chance(fault.share)),
    },
    script.tasks,
  );
  const lives = new Map<string, TenantLife>();
  const life = (tenantId: string): TenantLife => lives.get(tenantId)!;
  const all = (): TenantLife[] => [...lives.values()];
  const volumes = new SimVolumes({
    clock,
    random: randomOf(seed, 'volumes'),
    contentOf: (task) => life(task.tenantId).nodes.contentOf(task),
    copying: () => {
      const slow = weather.on('copies');
      if (slow.some(({ fault, random }) => random.chance(fault.failed))) return undefined;
      return Math.max(500, ...slow.map(({ fault, random }) => random.int(500, fault.ms)));
    },
    removing: (task) => life(task.tenantId).judge.removingDisk(task),
  });
  const control: ControlPlane = new ControlPlane({
    clock,
    volumes,
    store,
    names,
    fargate,
    nodes: (tenantId) => life(tenantId).nodes,
    weather,
    random: randomOf(seed, 'queues'),
    complain: (tenantId, what) => (lives.get(tenantId) ?? all()[0]!).judge.complain(what),
  });
  const world = { clock, seed, fargate, network, weather, store, names, control, volumes, quietS };
  for (let index = 0; index < (script.tenants ?? 1); index++) {
    const tenantId = tenantName(index);
    lives.set(tenantId, tenantLife(tenantId, index, world));
    await beginLife(tenantId, script.spec, world);
  }

  for (const fault of script.faults) {
    clock.at(fault.atS * 1_000, () => {
      if (troublesZones.has(fault.kind)) for (const { judge } of all()) judge.zoneTrouble();
      inflict({ ...world, lives: all() }, fault);
    });
  }
  for (const wish of script.wishes) {
    clock.at(wish.atS * 1_000, () => void lives.get(tenantName(wish.tenant ?? 0))?.grant(wish));
  }

  const seconds = (): number => (clock.now().getTime() - start) / 1_000;
  const violations = (): string[] => all().flatMap(({ judge }) => judge.violations);
  const problems = (): string[] => all().flatMap((each) => each.problems());
  const runUntil = async (limitS: number, done: () => boolean): Promise<boolean> => {
    await clock.run(start + limitS * 1_000, () => {
      for (const { judge } of lives.values()) judge.always();
      for (const { judge } of lives.values()) if (judge.violations.length > 0) return false;
      return !done();
    });
    return done();
  };
  await runUntil(quietS, () => false);
  const ended = (): boolean => all().every((each) => each.problems().length === 0);
  const converged = await runUntil(quietS + deadlineS, ended);
  if (converged && violations().length === 0) {
    await runUntil(seconds() + restS, () => false);
    // The two-minute check may be under way.
    await runUntil(seconds() + 120, ended);
    for (const { judge, nodes, record } of all()) {
      // Whoever asked for the end of the tenant wanted its data gone.
      if (record() !== undefined) judge.data(nodes.rafts.at(-1));
    }
    const left = control.pending;
    if (left > 3 * lives.size) all()[0]!.judge.complain(`${left} messages still go round`);
  }
  const newest = { limit: 10_000 };
  for (const { tenantId, record, judge } of all()) {
    const { items } = await store.listOperations(tenantId, newest);
    const known = [record()?.operation?.operationId, record()?.remediation?.operationId];
    for (const { operationId, kind, state } of items) {
      const open = state === 'pending' || state === 'running';
      if (open && !known.includes(operationId))
        judge.complain(`the ${kind} ${operationId} is ${state} for ever`);
    }
  }
  return {
    script,
    problems: violations().length > 0 ? violations() : problems(),
    virtualSeconds: seconds(),
    looks: control.looks,
    writes: all().reduce((sum, { judge }) => sum + judge.acknowledged.length, 0),
    incarnations: all().reduce((sum, { nodes }) => sum + nodes.rafts.length, 0),
    events: async () => {
      const pages = await Promise.all([...lives.keys()].map((id) => store.listEvents(id, newest)));
      return pages.flatMap(({ items }) => items).sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
    },
    operations: async () => {
      const pages = await Promise.all([...lives.keys()].map((id) => store.listOperations(id, newest)));
      return pages.flatMap(({ items }) => items);
    },
  };
}

const troublesZones: ReadonlySet<string> = new Set([
  'zone-dies',
  'zone-cut',
  'no-capacity',
  'stillborn-tasks',
  'cut',
  'throttling',
]);

/** What people would read: the timeline, and operations that did not end well. */
export async function timelineOf(result: Result): Promise<string[]> {
  const [events, operations] = [await result.events(), await result.operations()];
  const start = new VirtualClock().now().getTime();
  const many = (result.script.tenants ?? 1) > 1;
  const lines = events.map(({ at, kind, message, rule, tenantId }) => {
    const time = String(Math.round((Date.parse(at) - start) / 1_000)).padStart(5);
    return `${time} s ${many ? `${tenantId} ` : ''}${kind}${rule ? ` ${rule}` : ''}: ${message}`;
  });
  const open = operations.filter(({ state }) => state !== 'succeeded');
  return [...lines, ...open.map(({ kind, state, message }) => `operation ${kind} is ${state}: ${message}`)];
}

/** What to print of a failed history. */
export async function tellResult(result: Result, lines = 60): Promise<string> {
  const timeline = await timelineOf(result);
  return [tellScript(result.script), ...timeline.slice(-lines), ...result.problems.map((p) => `✗ ${p}`)].join(
    '\n',
  );
}
