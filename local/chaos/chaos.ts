import type { BusEvent } from '../aws/service.ts';
import { AwsError } from '../aws/service.ts';
import type { Faults } from '../faults.ts';
import type { EcsChaos } from '../services/ecs/index.ts';
import type { Bucket } from '../services/s3/bucket.ts';
import { type ChaosAction, chaosActionSchema, type Hurt, type ReadChaosAction } from './actions.ts';
import { flipBackup, loseBackup } from './backups.ts';
import { corruptDb, corruptWal } from './corrupt.ts';
import {
  etcdOf,
  type MemberTask,
  memberFolder,
  memberTasks,
  requireEtcd,
  requireMember,
  signal,
  tenantTasks,
} from './member-task.ts';
import { retirementNotice } from './retirement.ts';
import { type SmallDisk, smallDisk } from './small-disk.ts';
import { whileEtcdIsDown } from './stopped-etcd.ts';
import { usurp } from './usurper.ts';
import { untilItWaitsForTheDisk } from './waits-for-disk.ts';

export interface ChaosDeps {
  readonly ecs: EcsChaos;
  readonly faults: Faults;
  readonly buckets: ReadonlyMap<string, Bucket>;
  readonly emit: (event: BusEvent) => void;
  readonly account: { readonly accountId: string; readonly region: string };
  /** Names of the zones there are. */
  readonly zones: () => readonly string[];
  /** Names of the rules and functions that there are. */
  readonly namesOf: (type: 'AWS::Events::Rule' | 'AWS::Lambda::Function') => readonly string[];
  readonly now?: () => Date;
}

/** Hurts the local cloud on purpose. Every answer says how it was done: a stand-in is called by its name. */
export interface Chaos {
  /** @returns a sentence for people. @throws AwsError, ZodError */
  act(action: ChaosAction): Promise<string>;
  hurts(): Hurt[];
  /** Before tasks are suspended: they have to be able to end. */
  heal(): Promise<void>;
  /** When nothing runs any more. */
  close(): Promise<void>;
}

interface Lasting extends Hurt {
  readonly zone: string;
  /** Again and again, for what has to be kept up. */
  readonly tick?: () => void;
  end(): Promise<void> | void;
}

const tickMs = 200;
const capacity =
  'Capacity is unavailable at this time. Please try again later or in a different availability zone';

export function createChaos(deps: ChaosDeps): Chaos {
  const { ecs, faults } = deps;
  const cutting = ecs.how.cut;
  const lasting = new Map<string, Lasting>();
  const disks = new Map<string, SmallDisk>();
  let ticker: NodeJS.Timeout | undefined;

  function keep(hurt: Omit<Lasting, 'since'>): void {
    lasting.set(`${hurt.what} ${hurt.target}`, {
      ...hurt,
      since: (deps.now?.() ?? new Date()).toISOString(),
    });
    ticker ??= setInterval(() => {
      for (const each of lasting.values()) each.tick?.();
    }, tickMs).unref();
  }

  async function end(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const hurt = lasting.get(key);
      lasting.delete(key);
      await hurt?.end();
    }
    if (lasting.size > 0) return;
    clearInterval(ticker);
    ticker = undefined;
  }

  const keysOf = (test: (hurt: Lasting) => boolean): string[] =>
    [...lasting].filter(([, hurt]) => test(hurt)).map(([key]) => key);

  /** A task that ECS stops has to hear of it: the network of ECS itself was never cut. */
  async function cut(task: MemberTask): Promise<void> {
    await ecs.cutTask(task.taskArn);
    keep({
      what: 'cut',
      target: task.member,
      zone: task.zone,
      how: cutting,
      tick: () => {
        const now = memberTasks(ecs).find(({ taskArn }) => taskArn === task.taskArn);
        if (now === undefined || now.stopping) void end([`cut ${task.member}`]);
      },
      end: () => ecs.mendTask(task.taskArn),
    });
  }

  /**
   * @param standStill ms of each period; the whole period means: until healed. Else it begins while etcd waits for its
   *   disk, if it does so soon: a good disk is waited for so seldom that hardly any write would be slow otherwise
   */
  function halt(
    task: MemberTask,
    what: 'pause' | 'slow',
    how: string,
    standStill: number,
    periodMs: number,
  ): void {
    requireEtcd(task);
    const moves = periodMs - standStill;
    let going: NodeJS.Timeout | undefined;
    let ended = false;
    const halted = async () => {
      const target = etcdOf(task);
      if (target === undefined) return;
      if (moves > 0) await untilItWaitsForTheDisk(target, moves / 2);
      if (ended) return;
      signal(target, 'SIGSTOP');
      if (moves > 0) going = setTimeout(() => signal(target, 'SIGCONT'), standStill);
    };
    void halted();
    const cycle = moves > 0 ? setInterval(halted, periodMs).unref() : undefined;
    keep({
      what,
      target: task.member,
      zone: task.zone,
      how,
      tick: () => {
        const its = memberTasks(ecs).find(({ taskArn }) => taskArn === task.taskArn);
        if (its === undefined || its.stopping) void end([`${what} ${task.member}`]);
      },
      end() {
        ended = true;
        clearInterval(cycle);
        clearTimeout(going);
        const target = etcdOf(task);
        if (target !== undefined) signal(target, 'SIGCONT');
      },
    });
  }

  async function fill(task: MemberTask, leave: number): Promise<string> {
    if (!ecs.how.fillDisk)
      throw new AwsError(
        'NotPermitted',
        'A container does not see that its volume was moved onto another file system: fill disks with the runtime "process".',
        409,
      );
    const { volume } = memberFolder(task);
    const known = disks.get(volume);
    if (known) await known.leave(leave);
    else {
      await whileEtcdIsDown(task, async () => {
        const disk = await smallDisk(volume);
        disks.set(volume, disk);
        await disk.leave(leave);
      });
    }
    const how = 'its volume is a tmpfs of just the size of what is on it (etcd was restarted for the move)';
    keep({
      what: 'fill-disk',
      target: task.member,
      zone: task.zone,
      how,
      end: () => disks.get(volume)?.heal(),
    });
    return `The disk of ${task.member} is full but for ${leave} bytes: ${how}.`;
  }

  function holdZone(zone: string, at: 'launch' | 'start'): void {
    ecs.failLaunchesInZone(requireZone(zone), at === 'launch' ? 'refuse' : 'start', capacity);
    keep({
      what: 'hold-zone',
      target: zone,
      zone,
      how: at === 'launch' ? 'RunTask fails there' : 'tasks stop there before they start',
      end() {
        for (const kind of ['refuse', 'start'] as const) ecs.failLaunchesInZone(zone, kind, undefined);
      },
    });
  }

  /** Those of the switchboard's names that have this in them are in it until they are healed. */
  function turnOff(
    what: 'silence' | 'hold-messages',
    part: string,
    how: string,
    { type, off }: { type: 'AWS::Events::Rule' | 'AWS::Lambda::Function'; off: Set<string> },
  ): readonly string[] {
    const all = deps.namesOf(type);
    const found = all.filter((name) => name.toLowerCase().includes(part.toLowerCase()));
    if (found.length === 0)
      throw new AwsError('NotFound', `None is like "${part}". There are: ${all.join(', ')}.`, 404);
    for (const name of found) off.add(name);
    keep({
      what,
      target: part,
      zone: '',
      how,
      end() {
        for (const name of found) off.delete(name);
      },
    });
    return found;
  }

  async function usurpPlaceOf(task: MemberTask): Promise<string> {
    if (!ecs.how.fillDisk)
      throw new AwsError('NotPermitted', 'Only a process can be started by hand on a member’s address.', 409);
    const usurper = await whileEtcdIsDown(task, (etcd) => usurp(task.member, etcd));
    const how = `another cluster's etcd (process ${usurper.pid}) has its address and its certificates`;
    keep({
      what: 'usurp',
      target: task.member,
      zone: task.zone,
      how,
      tick() {
        // What somebody has started in a task ends with it.
        const its = memberTasks(ecs).find(({ taskArn }) => taskArn === task.taskArn);
        if (its === undefined || its.stopping) void end([`usurp ${task.member}`]);
      },
      end: () => usurper.stop(),
    });
    return `In the place of ${task.member}: ${how}. Its own cannot start meanwhile.`;
  }

  function requireZone(zone: string): string {
    const zones = deps.zones();
    if (zones.includes(zone)) return zone;
    throw new AwsError('NotFound', `There is no zone "${zone}". There are: ${zones.join(', ')}.`, 404);
  }

  async function perform(action: ReadChaosAction): Promise<string> {
    switch (action.do) {
      case 'kill-member': {
        const pid = requireEtcd(requireMember(ecs, action.member));
        signal(pid, 'SIGKILL');
        return `etcd of ${action.member} (process ${pid}) is killed.`;
      }
      case 'kill-nanny':
        ecs.killTask(requireMember(ecs, action.member).taskArn, 'SIGKILL');
        return `The nanny of ${action.member} is killed, and with it its container.`;
      case 'stop-task': {
        const task = requireMember(ecs, action.member);
        ecs.stopTask(task.taskArn, 'Stopped by nanny chaos');
        if (action.hard) ecs.endTask(task.taskArn);
        return `The task of ${action.member} stops${action.hard ? ' at once: nothing is handed over' : ''}.`;
      }
      case 'cut':
        await cut(requireMember(ecs, action.member));
        return `${action.member} is cut off: ${cutting}. Heal it: nanny chaos heal ${action.member}`;
      case 'cut-zone': {
        const zone = requireZone(action.zone);
        const there = memberTasks(ecs).filter((task) => task.zone === zone && !task.stopping);
        holdZone(zone, 'launch');
        await Promise.all(there.filter(({ running }) => running).map(cut));
        return `Zone ${zone} is out: launches fail there, ${there.length} members are cut off by ${cutting}.`;
      }
      case 'pause':
        halt(requireMember(ecs, action.member), 'pause', 'etcd alone stands still (SIGSTOP)', 1, 1);
        return `etcd of ${action.member} stands still; its nanny goes on.`;
      case 'resume':
        await end([`pause ${action.member}`]);
        return `etcd of ${action.member} goes on.`;
      case 'slow': {
        const { member, share, periodMs } = action;
        const still = Math.round(share * periodMs);
        const how = `etcd stands still for ${still} of every ${periodMs} ms (a stand-in for a slow disk)`;
        await end([`slow ${member}`]);
        halt(requireMember(ecs, member), 'slow', how, still, periodMs);
        return `${member} is slow: ${how}.`;
      }
      case 'fill-disk':
        return fill(requireMember(ecs, action.member), action.leave);
      case 'corrupt': {
        const task = requireMember(ecs, action.member);
        const { folder } = memberFolder(task);
        if (action.what === 'live-db')
          return `${corruptDb(folder)} values of ${action.member} are changed under its etcd, which goes on: it reads them from the file.`;
        return whileEtcdIsDown(task, () =>
          action.what === 'wal'
            ? `A byte of ${corruptWal(folder)} of ${action.member} is changed: etcd will not start on it.`
            : `${corruptDb(folder)} values of ${action.member} are changed behind etcd's back: its hash is another one now.`,
        );
      }
      case 'hold-zone':
        holdZone(action.zone, action.at);
        return `Launches in ${action.zone} fail until: nanny chaos heal --zone ${action.zone}`;
      case 'retire': {
        const task = requireMember(ecs, action.member);
        deps.emit(retirementNotice(task.taskArn, deps.account, deps.now?.() ?? new Date()));
        return `AWS Health tells that the task of ${action.member} will be retired.`;
      }
      case 'flip-backup':
        return `A bit in the middle of ${flipBackup(deps.buckets, action.key)} is another one now.`;
      case 'lose-backup':
        return `${loseBackup(deps.buckets, action.key)} is gone, with its former versions.`;
      case 'stop-all': {
        const tasks = tenantTasks(ecs, action.tenant);
        for (const { taskArn } of tasks) {
          if (action.loseDisks) ecs.loseDisk(taskArn);
          ecs.stopTask(taskArn, 'Stopped by nanny chaos');
        }
        for (const { taskArn } of tasks) ecs.endTask(taskArn);
        const disks = action.loseDisks
          ? 'none of their disks is left'
          : 'disks stay where they were to be kept';
        return `${tasks.length} tasks of ${action.tenant} end at once: ${disks}.`;
      }
      case 'slow-s3':
      case 'cut-s3': {
        const { resource, times } = action;
        const match = { service: 's3', ...(resource !== undefined && { resource }) };
        const fault =
          action.do === 'slow-s3'
            ? ({ type: 'delay', ms: action.ms } as const)
            : ({ type: 'cut', afterBytes: action.afterBytes } as const);
        faults.add({ match, action: fault, ...(times !== undefined && { times }) });
        const how = fault.type === 'delay' ? `take ${fault.ms} ms more` : 'break in the middle of the body';
        return `Calls of S3${resource === undefined ? '' : ` on ${resource}`} ${how}${times ? `, ${times} times` : ''}.`;
      }
      case 'deny':
      case 'throttle': {
        const { do: type, times, tenant, ...rest } = action;
        const match = { ...rest, ...(tenant !== undefined && { event: tenant }) };
        faults.add({ match, action: { type }, ...(times !== undefined && { times }) });
        const which =
          [match.function, match.service, match.operation, match.resource, tenant]
            .filter(Boolean)
            .join(' ') || 'all';
        return `Calls (${which}) fail with ${type === 'deny' ? 'AccessDenied' : 'throttling'}${times ? `, ${times} times` : ''}.`;
      }
      case 'silence': {
        const off = { type: 'AWS::Events::Rule', off: faults.silentRules } as const;
        return `They tell nobody any more: ${turnOff('silence', action.rule, 'EventBridge does not act on it', off).join(', ')}.`;
      }
      case 'hold-messages': {
        const off = { type: 'AWS::Lambda::Function', off: faults.heldFunctions } as const;
        const held = turnOff('hold-messages', action.function, 'nobody takes its messages', off);
        return `They take no messages any more: ${held.join(', ')}.`;
      }
      case 'usurp':
        return usurpPlaceOf(requireMember(ecs, action.member));
      case 'heal': {
        const { member, zone } = action;
        const all = member === undefined && zone === undefined;
        const keys = keysOf(
          (hurt) => all || hurt.target === member || (zone !== undefined && hurt.zone === zone),
        );
        await end(keys);
        return keys.length === 0 ? 'There was nothing to heal.' : `Healed: ${keys.join(', ')}.`;
      }
      case 'clear':
        if (action.tenant !== undefined) {
          const cleared = faults.clearOf(action.tenant);
          return `${cleared} faults of calls about ${action.tenant} are taken back.`;
        }
        await end(keysOf(() => true));
        faults.clear();
        return 'Everything is healed, and no calls fail on purpose any more.';
    }
  }

  const heal = () => end(keysOf(() => true));
  return {
    act: async (action) => perform(chaosActionSchema.parse(action)),
    hurts: () => [...lasting.values()].map(({ what, target, how, since }) => ({ what, target, how, since })),
    heal,
    async close() {
      await heal();
      for (const disk of disks.values()) await disk.dispose().catch(() => {});
      disks.clear();
    },
  };
}
