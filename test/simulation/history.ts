import { dutyOf } from '../../lambdas/core/duty.ts';
import { TransientError } from '../../lambdas/core/errors.ts';
import type { OperationKind } from '../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { minorOf } from '../../lambdas/core/version-rules.ts';
import { InMemoryNameRegistry } from '../fakes/in-memory-name-registry.ts';
import { newTenant } from '../fakes/sim/tenants.ts';
import { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { ControlPlane } from './control-plane.ts';
import { problemsAtEnd } from './end.ts';
import { Fargate, isRunning } from './fargate.ts';
import { inflict } from './faults.ts';
import { Judge, WatchedStore } from './judge.ts';
import { Network } from './network.ts';
import { Nodes } from './nodes.ts';
import { randomOf } from './random.ts';
import { type Script, type Timed, tellScript, type Wish } from './script.ts';
import { Weather } from './weather.ts';

export const tenantId = 'acme';

export interface Result {
  readonly script: Script;
  /** Empty: all was as it must be. */
  readonly problems: readonly string[];
  readonly virtualSeconds: number;
  readonly looks: number;
  readonly writes: number;
  readonly incarnations: number;
  /** What people would read, newest last. */
  readonly timeline: () => Promise<string[]>;
}

/** Converged by then, or it is a bug: holds, back-off, and several ten-minute limits one after the other. */
const deadlineS = 100 * 60;
/** Stays converged for so long. */
const restS = 150;

/** One history of one tenant from its creation on. The same script gives the same history, always. */
export async function runHistory(script: Script): Promise<Result> {
  const { seed } = script;
  const clock = new VirtualClock();
  const start = clock.now().getTime();
  const weather = new Weather(clock, seed);
  const network = new Network();
  let record: TenantRecord | undefined;
  const store = new WatchedStore(
    () => clock.now(),
    (saved) => {
      record = saved;
      if (saved) judge.saved(saved);
    },
  );
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
    },
    script.tasks,
  );
  const judge: Judge = new Judge({
    now: () => clock.now(),
    fargate,
    nodes: () => nodes,
    network,
    record: () => record,
  });
  fargate.onStopWanted = (task) => judge.stopping(task);
  const control: ControlPlane = new ControlPlane({
    clock,
    store,
    names,
    fargate,
    nodes: () => nodes,
    weather,
    random: randomOf(seed, 'queues'),
    complain: (what) => judge.complain(what),
  });
  const nodes: Nodes = new Nodes({
    clock,
    fargate,
    network,
    random: randomOf(seed, 'nodes'),
    call: (route, body, task) => control.callJoin(route, body, task),
    events: judge,
    slowLearners: () =>
      weather.on('slow-learners').reduce((most, { fault }) => Math.max(most, fault.factor), 1),
  });

  // The tenant, as the API makes it.
  const made = newTenant(tenantId, clock.now(), control.ids, script.spec);
  await store.create(made.record);
  await store.putOperation(made.operation);
  await control.dispatcher.look(tenantId, 'create');

  const world = { clock, fargate, nodes, network, weather, names };
  for (const fault of script.faults) {
    clock.at(fault.atS * 1_000, () => {
      if (
        ['zone-dies', 'zone-cut', 'no-capacity', 'stillborn-tasks', 'cut', 'throttling'].includes(fault.kind)
      )
        judge.zoneTrouble();
      inflict(world, fault);
    });
  }
  for (const wish of script.wishes) clock.at(wish.atS * 1_000, () => void grant(wish));
  const users = randomOf(seed, 'users');
  let written = 0;
  clock.at(1_000, write);
  clock.at(30_000, agree);

  const seconds = (): number => (clock.now().getTime() - start) / 1_000;
  const runUntil = async (limitS: number, done: () => boolean): Promise<boolean> => {
    while (!done() && judge.violations.length === 0) {
      if (!(await clock.step(start + limitS * 1_000))) return done();
      judge.always();
    }
    return done();
  };
  const problems = (): string[] => problemsAtEnd({ record, fargate, nodes, names, judge });
  await runUntil(script.quietS, () => false);
  const ended = (): boolean => problems().length === 0;
  const converged = await runUntil(script.quietS + deadlineS, ended);
  if (converged && judge.violations.length === 0) {
    await runUntil(seconds() + restS, () => false);
    // The two-minute check may be under way.
    await runUntil(seconds() + 120, ended);
    // Whoever asked for the end of the tenant wanted its data gone.
    if (record !== undefined) judge.data(nodes.rafts.at(-1));
    const left = control.pending;
    if (left > 3) judge.complain(`${left} messages still go round`);
  }
  return {
    script,
    problems: judge.violations.length > 0 ? judge.violations : problems(),
    virtualSeconds: seconds(),
    looks: control.looks,
    writes: judge.acknowledged.length,
    incarnations: nodes.rafts.length,
    timeline: async () => {
      const { items } = await store.listEvents(tenantId, { limit: 10_000 });
      const lines = items.reverse().map(({ at, kind, message, rule }) => {
        const time = String(Math.round((Date.parse(at) - start) / 1_000)).padStart(5);
        return `${time} s ${kind}${rule ? ` ${rule}` : ''}: ${message}`;
      });
      const { items: operations } = await store.listOperations(tenantId, { limit: 100 });
      const open = operations.filter(({ state }) => state !== 'succeeded');
      return [
        ...lines,
        ...open.map(({ kind, state, message }) => `operation ${kind} is ${state}: ${message}`),
      ];
    },
  };

  /** A client of the tenant: numbered writes, through whoever the name service names. */
  function write(): void {
    clock.at(seconds() < script.quietS + 60 ? users.int(500, 4_000) : 30_000, write);
    const addresses = [...names.services.values()].flatMap((service) => [...service.instances.values()]);
    const target = addresses.length > 0 ? users.pick(addresses) : undefined;
    const node = nodes.nodes().find(({ task }) => task.ip === target && isRunning(task));
    if (!node?.raft || !node.disk?.up || network.isolated(node.task)) return;
    written += 1;
    if (node.raft.write(node.disk, written)) judge.acknowledge(written, node.raft);
  }

  /** A person agrees to a recovery when asked. */
  function agree(): void {
    clock.at(users.int(60_000, 300_000), agree);
    const recovery = record?.remediation?.recovery;
    if (!record || !recovery || record.remediation?.approved || record.status.phase !== 'recovering') return;
    if (record.spec.recovery === 'auto' && !recovery.mustBeApproved) return;
    const { recheck: _recheck, ...rest } = record;
    const remediation = { ...record.remediation!, approved: true };
    void change({ ...rest, remediation });
  }

  async function change(next: TenantRecord): Promise<void> {
    try {
      await store.save({ ...next, recordVersion: next.recordVersion + 1 }, next.recordVersion);
      await control.dispatcher.look(tenantId, dutyOf(next));
    } catch {
      // Somebody else wrote first; people try again later.
    }
  }

  /** As the API does it: one operation at a time, on a cluster that has formed. */
  async function grant(wish: Timed<Wish>): Promise<void> {
    if (record?.incarnation.state !== 'formed' || record.status.phase === 'deleting') return;
    const at = clock.now().toISOString();
    const operationId = control.ids.ulid();
    const begin = async (kind: OperationKind, next: Partial<TenantRecord>): Promise<void> => {
      const { recheck: _recheck, ...rest } = record!;
      await change({ ...rest, ...next, operation: { operationId, kind }, nextCheckAt: at });
    };
    if (wish.kind === 'delete') {
      return begin('delete', { status: { phase: 'deleting', conditions: [], since: at } });
    }
    if (record.operation !== undefined) return;
    const generation = record.generation + 1;
    const { spec } = record;
    switch (wish.kind) {
      case 'scale':
        if (wish.members === spec.members) return;
        return begin('scale', { generation, spec: { ...spec, members: wish.members } });
      case 'resize':
        if (wish.size === spec.size) return;
        return begin('resize', { generation, spec: { ...spec, size: wish.size } });
      case 'patch':
        if (wish.version === spec.version) return;
        // The API takes a step to another minor only while all is well.
        if (minorOf(wish.version) !== minorOf(spec.version) && record.remediation) return;
        return begin('patch', { generation, spec: { ...spec, version: wish.version } });
      case 'replace': {
        const voting = Object.values(record.members).filter((member) => member.state === 'voting');
        const member = voting[wish.victim % Math.max(1, voting.length)];
        if (member === undefined) return;
        return begin('replace', { generation, replaceRequests: { [member.name]: 'somebody asked' } });
      }
    }
  }
}

/** What to print of a failed history. */
export async function tellResult(result: Result, lines = 60): Promise<string> {
  const timeline = await result.timeline();
  return [tellScript(result.script), ...timeline.slice(-lines), ...result.problems.map((p) => `✗ ${p}`)].join(
    '\n',
  );
}
