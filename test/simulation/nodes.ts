import { ControlPlaneError, LeaseLostError, TransientError } from '../../lambdas/core/errors.ts';
import type { NannyClient, NannyTarget } from '../../lambdas/core/ports.ts';
import type {
  EtcdState,
  HashKvAnswer,
  NannyStatus,
  SnapshotProgress,
  SnapshotRequest,
  SwapRequest,
} from '../../lambdas/core/wire/admin.ts';
import { type JoinAnswer, joinAnswerSchema, type RestoreOrder } from '../../lambdas/core/wire/join.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { type Fargate, isAlive, isRunning, isWanted, type Task } from './fargate.ts';
import { controlPlane, type Network } from './network.ts';
import { type Disk, Raft, type RaftWorld } from './raft.ts';
import type { Random } from './random.ts';
import { statusOf } from './status.ts';

export type CallJoin = (route: 'join' | 'report', body: unknown, task: Task) => Promise<unknown>;

export interface Boot {
  readonly mode: 'new' | 'existing' | 'resume' | 'restore';
  readonly incarnation: number;
  version: string;
  readonly token: string;
  readonly urls: readonly string[];
  readonly quotaBytes: number;
}

/** A task's nanny and its etcd. */
export interface Node {
  readonly task: Task;
  state: EtcdState;
  restarts: number;
  exit?: string;
  /** The nanny's process and its admin server: after join's answer only. */
  listens: boolean;
  boot?: Boot;
  raft?: Raft;
  disk?: Disk;
  fence: number;
  /** What it last got through to the control plane. */
  told: string;
  telling: boolean;
  lies?: 'peers-gone' | 'not-ready';
}

export interface Snapshot {
  readonly content: readonly number[];
  readonly revision: number;
}

/** What judges look at. */
export interface NodeEvents {
  readonly booting: (node: Node, answer: Extract<JoinAnswer, { answer: 'boot' }>) => void;
  readonly removing: (raft: Raft, etcdId: string) => void;
  readonly saving: (node: Node) => void;
  readonly lost: (raft: Raft) => void;
}

export interface NodesOptions {
  readonly clock: VirtualClock;
  readonly fargate: Fargate;
  readonly network: Network;
  readonly random: Random;
  readonly call: CallJoin;
  readonly events: NodeEvents;
  readonly slowLearners: () => number;
}

const bootMs = 300;
const argument = (args: readonly string[], name: string): string =>
  args.find((entry) => entry.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
const minorZero = (version: string): string => `${version.split('.').slice(0, 2).join('.')}.0`;
const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };

/** All nannies with their etcds: they join through the real join function, form clusters, and answer for them. */
export class Nodes implements NannyClient {
  readonly byName = new Map<string, Node>();
  readonly rafts: Raft[] = [];
  readonly bucket = new Map<string, { snapshot: Snapshot; doneAt: number }>();
  readonly #o: NodesOptions;
  readonly #world: RaftWorld;

  constructor(options: NodesOptions) {
    this.#o = options;
    const { clock, fargate, network, random } = options;
    this.#world = {
      now: () => clock.now().getTime(),
      after: (ms, what) => clock.at(ms, what),
      linked: (a, b) => {
        const [from, to] = [this.ofDisk(a), this.ofDisk(b)];
        return from !== undefined && to !== undefined && network.links(from.task, to.task);
      },
      random,
      settled: (raft) => this.#settled(raft),
      removed: (disk) => this.#removed(disk),
    };
    fargate.onRunning = (task) => void this.#live(task);
    fargate.onEnded = (task) => {
      const node = this.byName.get(task.memberName);
      if (node === undefined) return;
      node.listens = false;
      node.state = 'stopped';
      const by = task.endedBy === 'fault' ? 'fault' : 'control-plane';
      if (node.disk) {
        node.raft!.destroy(node.disk, by);
        options.events.lost(node.raft!);
      }
    };
  }

  nodes(): Node[] {
    return [...this.byName.values()];
  }

  ofDisk(disk: Disk): Node | undefined {
    for (const node of this.byName.values()) if (node.disk === disk) return node;
    return undefined;
  }

  /** Somebody's reach has changed. */
  reconnected(places: readonly { readonly ip: string }[]): void {
    const now = this.#o.clock.now().getTime();
    for (const node of this.byName.values()) {
      if (node.disk && places.some(({ ip }) => ip === node.task.ip)) node.disk.since = now;
    }
    for (const raft of this.rafts) raft.settle();
  }

  /** etcd's process dies; its nanny starts it again on the same disk. */
  crash(node: Node): void {
    const { raft, disk } = node;
    if (!raft || !disk?.up) return;
    raft.stop(disk);
    node.state = 'backing-off';
    node.exit = 'killed';
    this.#changed(node);
    this.#o.clock.at(this.#o.random.int(500, 4_000), () => {
      if (node.state !== 'backing-off' || !isRunning(node.task)) return;
      node.restarts += 1;
      node.state = 'starting';
      raft.start(disk);
    });
  }

  /** Its files are gone or bad: its nanny does not start it again. */
  loseDisk(node: Node): void {
    const { raft, disk } = node;
    if (!raft || !disk || disk.gone) return;
    node.state = 'data-lost';
    node.exit = 'the write-ahead log cannot be read';
    raft.destroy(disk, 'fault');
    this.#o.events.lost(raft);
    this.#changed(node);
  }

  async status(target: NannyTarget): Promise<NannyStatus> {
    return this.#statusOf(this.#at(target));
  }

  async addLearner(target: NannyTarget, fence: number, peerUrl: string): Promise<{ etcdId: string }> {
    const { raft, disk } = this.#serving(target, fence);
    return raft.addLearner(disk, peerUrl);
  }

  async promote(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    const { raft, disk } = this.#serving(target, fence);
    raft.promote(disk, etcdId);
  }

  async removeMember(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    const { raft, disk } = this.#serving(target, fence);
    this.#o.events.removing(raft, etcdId);
    raft.remove(disk, etcdId);
  }

  async moveLeadership(target: NannyTarget, fence: number, toEtcdId: string): Promise<void> {
    const { raft, disk } = this.#serving(target, fence);
    raft.moveLeader(disk, toEtcdId);
  }

  async downgrade(
    target: NannyTarget,
    fence: number,
    action: 'validate' | 'enable' | 'cancel',
    version: string,
  ): Promise<void> {
    const { raft } = this.#serving(target, fence);
    if (action === 'cancel') raft.downgradeTo = undefined;
    if (action !== 'enable') return;
    if (raft.downgradeTo !== undefined) {
      throw new ControlPlaneError('invalid-request', 'downgrade job in progress');
    }
    raft.downgradeTo = version;
    raft.downgradeSince = this.#world.now();
  }

  async swap(target: NannyTarget, fence: number, { etcdVersion }: SwapRequest): Promise<void> {
    const { node, raft, disk } = this.#serving(target, fence);
    const boot = node.boot!;
    const down = minorZero(etcdVersion) < minorZero(boot.version);
    if (down && this.storageVersion(raft) !== minorZero(etcdVersion)) {
      throw new Error(`${node.task.memberName} is swapped to ${etcdVersion} before the storage is`);
    }
    boot.version = etcdVersion;
    raft.stop(disk);
    node.state = 'starting';
    this.#o.clock.at(800, () => {
      if (node.state !== 'starting' || !isRunning(node.task)) return;
      raft.start(disk);
      const done = [...raft.newest().values()].every((listed) => {
        const other = raft.disks.get(listed.etcdId);
        return other && this.ofDisk(other)?.boot?.version === etcdVersion;
      });
      if (done) raft.downgradeTo = undefined;
    });
  }

  async compact(target: NannyTarget, fence: number): Promise<void> {
    const { raft } = this.#serving(target, fence);
    if (raft.garbage) raft.inUse = 16_384;
  }

  async defragment(target: NannyTarget, fence: number): Promise<void> {
    const { raft, disk } = this.#serving(target, fence);
    disk.dbSize = raft.inUse;
  }

  async disarm(target: NannyTarget, fence: number): Promise<{ disarmed: number }> {
    const { raft } = this.#serving(target, fence);
    const disarmed = Number(raft.nospace) + Number(raft.corruptAlarm);
    raft.nospace = false;
    raft.corruptAlarm = false;
    this.#settled(raft);
    return { disarmed };
  }

  async hashKv(target: NannyTarget, revision: number): Promise<HashKvAnswer> {
    const { disk } = this.#at(target);
    if (!disk?.opened) throw new TransientError('etcd is down (etcd-down)');
    return { hash: disk.corrupt ? 2 : 1, hashRevision: revision, compactRevision: 0 };
  }

  async snapshot(target: NannyTarget, fence: number, { key }: SnapshotRequest): Promise<SnapshotProgress> {
    const node = this.#fenced(target, fence);
    const { raft, disk } = node;
    let object = this.bucket.get(key);
    if (object === undefined) {
      if (!raft || !disk?.up || !disk.opened) throw new TransientError('etcd is down (etcd-down)');
      this.#o.events.saving(node);
      const content = raft.content(disk);
      const revision = raft.baseRevision + 1 + content.length - raft.base.length;
      const doneAt = this.#world.now() + this.#o.random.int(200, 8_000);
      object = { snapshot: { content, revision }, doneAt };
      this.bucket.set(key, object);
    }
    if (object.doneAt > this.#world.now()) return { state: 'running', bytes: 1 };
    return { state: 'done', bytes: 1, sha256: key, revision: object.snapshot.revision };
  }

  /** The storage of all is at the target once a downgrade has been enabled for a while. */
  storageVersion(raft: Raft): string {
    const settled = raft.downgradeTo !== undefined && this.#world.now() - raft.downgradeSince > 1_500;
    if (settled) return raft.downgradeTo!;
    const versions = [...raft.newest().values()].flatMap((listed) => {
      const disk = raft.disks.get(listed.etcdId);
      return (disk && !listed.isLearner && this.ofDisk(disk)?.boot?.version) || [];
    });
    return versions.map(minorZero).sort()[0] ?? '3.6.0';
  }

  #at(target: NannyTarget): Node {
    const node = this.nodes().find(({ task }) => task.ip === target.ip && isRunning(task));
    if (!node?.listens || !this.#o.network.opens(controlPlane, node.task)) {
      throw new TransientError(`no answer from ${target.ip}`);
    }
    return node;
  }

  /** Each nanny knows only the tokens that it has seen itself. */
  #fenced(target: NannyTarget, fence: number): Node {
    const node = this.#at(target);
    if (fence < node.fence) throw new LeaseLostError('somebody has a newer lease');
    node.fence = fence;
    return node;
  }

  #serving(target: NannyTarget, fence: number): { node: Node; raft: Raft; disk: Disk } {
    const node = this.#fenced(target, fence);
    const { raft, disk } = node;
    if (!raft || !disk?.up || !disk.opened) throw new TransientError('etcd is down (etcd-down)');
    return { node, raft, disk };
  }

  async #live(task: Task): Promise<void> {
    const node: Node = {
      task,
      state: 'waiting',
      restarts: 0,
      listens: false,
      fence: 0,
      told: '',
      telling: false,
    };
    this.byName.set(task.memberName, node);
    while (isAlive(task) && isWanted(task)) {
      const body = await this.#post(task, 'join', { csrs, hasData: false });
      const answer = body === undefined ? undefined : joinAnswerSchema.parse(body);
      if (answer?.answer === 'leave')
        return this.#o.fargate.end(task, 'Essential container exited', 'itself');
      if (answer?.answer === 'boot') return this.#boot(node, answer);
      await this.#o.clock.sleep(answer?.answer === 'wait' ? Math.max(500, answer.retryAfterMs) : 1_000);
    }
  }

  async #boot(node: Node, answer: Extract<JoinAnswer, { answer: 'boot' }>): Promise<void> {
    const { clock } = this.#o;
    const args = answer.etcdArguments;
    const initial = answer.restore?.initialCluster ?? argument(args, 'initial-cluster');
    node.boot = {
      mode: answer.mode,
      incarnation: answer.incarnation,
      version: answer.etcdVersion,
      token: argument(args, 'initial-cluster-token'),
      urls: initial.split(',').map((entry) => entry.slice(entry.indexOf('=') + 1)),
      quotaBytes: Number(argument(args, 'quota-backend-bytes')),
    };
    this.#o.events.booting(node, answer);
    node.listens = true;
    node.state = 'starting';
    await clock.sleep(bootMs + (answer.restore ? this.#o.random.int(500, 5_000) : 0));
    while (isRunning(node.task) && node.state === 'starting' && node.disk === undefined) {
      const problem = this.#found(node, answer.restore);
      if (problem === 'retry') await clock.sleep(2_000);
      else if (problem !== undefined) {
        node.state = 'data-lost';
        node.exit = problem;
        this.#changed(node);
      }
    }
  }

  /** Gives the member its disk and starts it. @returns why not */
  #found(node: Node, restore: RestoreOrder | undefined): string | undefined {
    const { mode, token, urls, incarnation, version } = node.boot!;
    const url = `https://${node.task.ip}:2380`;
    let raft = this.rafts.find((each) => each.token === token);
    if (mode === 'resume') return 'the disk is empty';
    if (mode === 'existing') {
      if (raft?.leader === undefined) return 'retry';
      const listed = [...raft.leader.config.values()].map(({ peerUrl }) => peerUrl);
      const peers = [...raft.disks.values()].filter((disk) => disk.up && raft!.linearizable(disk));
      if (!peers.some((disk) => this.#o.network.links(this.ofDisk(disk)!.task, node.task))) return 'retry';
      if (listed.sort().join() !== [...urls].sort().join()) return 'member count is unequal';
      if (raft.downgradeTo !== undefined) return 'a downgrade is enabled';
      if (minorZero(version) < this.storageVersion(raft)) return 'incompatible with current running cluster';
    } else if (raft === undefined) {
      const object = restore && this.bucket.get(restore.key);
      if (restore && object === undefined) return 'there is no such snapshot';
      const base = object?.snapshot.content ?? [];
      const baseRevision = object ? object.snapshot.revision + (restore?.bumpRevision ?? 0) : 1;
      raft = new Raft(this.#world, { token, incarnation, urls, base, baseRevision });
      this.rafts.push(raft);
    }
    const disk = raft?.add(url);
    if (raft === undefined || disk === undefined) return 'it is not in the member list';
    node.raft = raft;
    node.disk = disk;
    if (mode === 'existing') {
      const ms = Math.round(this.#o.random.int(300, 1_500) * this.#o.slowLearners());
      disk.syncedAt = this.#world.now() + ms;
      this.#o.clock.at(ms, () => raft.settle());
    }
    raft.start(disk);
    return undefined;
  }

  #settled(raft: Raft): void {
    for (const node of this.byName.values()) {
      if (node.raft !== raft || !node.disk?.up) continue;
      const serves = raft.linearizable(node.disk) && !raft.corruptAlarm;
      if (node.disk.isLearner) {
        if (node.disk.opened) node.state = 'learner';
      } else if (serves) node.state = 'ready';
      else if (node.state === 'ready' || node.state === 'learner') node.state = 'not-ready';
      this.#changed(node);
    }
  }

  #removed(disk: Disk): void {
    const node = this.ofDisk(disk);
    if (node === undefined || node.state === 'removed' || !disk.up) return;
    node.state = 'removed';
    node.exit = 'removed from the cluster';
    node.raft!.stop(disk);
    this.#changed(node);
  }

  /** Its nanny looks each second and tells what is new, until it gets through. */
  #changed(node: Node): void {
    if (node.telling || !node.listens) return;
    node.telling = true;
    this.#o.clock.at(this.#o.random.int(100, 1_000), () => void this.#tell(node, 1));
  }

  async #tell(node: Node, attempt: number): Promise<void> {
    if (!node.listens || !isRunning(node.task)) return;
    const status = this.#statusOf(node);
    const { self, view, etcd, alarms } = status;
    const { leader, isLearner, version } = self ?? {};
    const key = JSON.stringify([
      etcd.state,
      etcd.restarts,
      leader,
      isLearner,
      version,
      alarms,
      view?.members,
    ]);
    if (key === node.told) {
      node.telling = false;
      return;
    }
    const answer = await this.#post(node.task, 'report', { status });
    if (answer === undefined) {
      this.#o.clock.at(Math.min(15_000, 500 * 2 ** attempt), () => void this.#tell(node, attempt + 1));
      return;
    }
    node.told = key;
    if ((answer as { leave: boolean }).leave) {
      this.#o.fargate.end(node.task, 'Essential container exited', 'itself');
      return;
    }
    // Once more: it may have changed while the report was under way.
    this.#o.clock.at(1_000, () => void this.#tell(node, 1));
  }

  #statusOf(node: Node): NannyStatus {
    const { network, clock } = this.#o;
    return statusOf(node, clock.now(), {
      ofDisk: (disk) => this.ofDisk(disk),
      reaches: (other) => network.opens(node.task, other.task),
      storageVersion: (raft) => this.storageVersion(raft),
    });
  }

  async #post(task: Task, route: 'join' | 'report', body: Record<string, unknown>): Promise<unknown> {
    if (!this.#o.network.opens(task, controlPlane)) {
      await this.#o.clock.sleep(2_000);
      return undefined;
    }
    const who = { tenantId: task.tenantId, memberName: task.memberName };
    return this.#o.call(route, { ...who, ...body }, task);
  }
}
