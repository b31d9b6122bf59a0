import { ControlPlaneError, LeaseLostError, TransientError } from '../../lambdas/core/errors.ts';
import type { NannyClient, NannyTarget } from '../../lambdas/core/ports.ts';
import type {
  BackupOrder,
  HashKvAnswer,
  NannyStatus,
  RenewOrder,
  SnapshotProgress,
  SnapshotRequest,
  SwapRequest,
} from '../../lambdas/core/wire/admin.ts';
import { type JoinAnswer, joinAnswerSchema, type RestoreOrder } from '../../lambdas/core/wire/join.ts';
import { type WorkOrder, workReportAnswerSchema } from '../../lambdas/core/wire/work.ts';
import { FakeCertificates } from '../fakes/fake-pki.ts';
import { Bucket, type Snapshot } from './bucket.ts';
import { isAlive, isRunning, isWanted, type Task } from './fargate.ts';
import { controlPlane } from './network.ts';
import type { Node, NodesOptions, Route } from './node.ts';
import { type Disk, Raft, type RaftWorld } from './raft.ts';
import { ship, stateOf } from './shipping.ts';
import { statusOf } from './status.ts';
import { runWorker } from './workers.ts';

export type { Boot, Node } from './node.ts';

const bootMs = 300;
const argument = (args: readonly string[], name: string): string =>
  args.find((entry) => entry.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
const zeros = new Map<string, string>();
const minorZero = (version: string): string => {
  const known = zeros.get(version) ?? `${version.split('.').slice(0, 2).join('.')}.0`;
  zeros.set(version, known);
  return known;
};
const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };

/** All nannies with their etcds: they join through the real join function, form clusters, and answer for them. */
export class Nodes implements NannyClient {
  readonly byName = new Map<string, Node>();
  readonly rafts: Raft[] = [];
  readonly bucket: Bucket;
  readonly #byDisk = new Map<Disk, Node>();
  readonly #byIp = new Map<string, Node>();
  readonly #o: NodesOptions;
  readonly #world: RaftWorld;

  constructor(options: NodesOptions) {
    this.#o = options;
    const { clock, fargate, network, random } = options;
    this.bucket = new Bucket(() => clock.now().getTime());
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
    const ended = (task: Task): void => {
      const node = this.byName.get(task.memberName);
      if (node === undefined) return;
      ship(node, this.bucket, () => this.#o.random.int(0, 6));
      node.listens = false;
      node.state = 'stopped';
      const by = task.endedBy === 'fault' ? 'fault' : 'control-plane';
      if (node.disk) {
        // Files that were gone before are not on the volume either.
        if (node.disk.gone === undefined) node.disk.kept = task.diskStays;
        node.raft!.destroy(node.disk, by);
        options.events.lost(node.raft!);
      }
    };
    fargate.watch(options.tenantId, {
      running: (task) => void this.#live(task),
      ended,
      stopWanted: (task) => options.events.stopping(task),
    });
  }

  /** On the disk of a task's member, as a scratch etcd that is started on it would have it. */
  contentOf(task: Task): Snapshot | undefined {
    const { raft, disk } = this.byName.get(task.memberName) ?? {};
    if (!raft || !disk || (disk.gone !== undefined && !disk.kept)) return undefined;
    return stateOf(raft, disk);
  }

  nodes(): Node[] {
    return [...this.byName.values()];
  }

  ofDisk(disk: Disk): Node | undefined {
    return this.#byDisk.get(disk);
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
    this.#exited(node, 'killed');
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
    ship(node, this.bucket, () => this.#o.random.int(0, 6));
    node.state = 'data-lost';
    this.#exited(node, 'the write-ahead log cannot be read');
    raft.destroy(disk, 'fault');
    this.#o.events.lost(raft);
    this.#changed(node);
  }

  #exited(node: Node, reason: string): void {
    node.exit = { at: this.#o.clock.now().toISOString(), reason };
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
    this.#o.events.handingOver();
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
    if (down && raft.downgradeTo === undefined && this.#allAbove(raft, etcdVersion)) {
      throw new Error(`${node.task.memberName} is swapped to ${etcdVersion} though no downgrade is enabled`);
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

  async renew(target: NannyTarget, fence: number, order: RenewOrder): Promise<void> {
    const { node, raft, disk } = this.#serving(target, fence);
    const answer = await this.#post(node.task, 'renew', { csrs });
    const { certificates } = node;
    if (answer === undefined || certificates === undefined) throw new TransientError('join does not answer');
    if (!certificates.renewed(answer, order)) return;
    raft.stop(disk);
    node.state = 'starting';
    this.#o.clock.at(800, () => {
      certificates.trusted = certificates.bundle;
      if (node.state === 'starting' && isRunning(node.task)) raft.start(disk);
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
    [raft.nospace, raft.corruptAlarm] = [false, false];
    this.#settled(raft);
    return { disarmed };
  }

  async hashKv(target: NannyTarget, revision: number): Promise<HashKvAnswer> {
    const { disk } = this.#at(target);
    if (!disk?.opened) throw new TransientError('etcd is down (etcd-down)');
    return { hash: disk.corrupt ? 2 : 1, hashRevision: revision, compactRevision: 0 };
  }

  async backup(target: NannyTarget, fence: number, order: BackupOrder): Promise<void> {
    const node = this.#fenced(target, fence);
    const same = JSON.stringify(node.shipping?.order) === JSON.stringify(order);
    const at = new Date(this.#world.now()).toISOString();
    if (!same) node.shipping = { order, revision: order.ship ? order.afterRevision : 0, at };
  }

  async snapshot(target: NannyTarget, fence: number, { key }: SnapshotRequest): Promise<SnapshotProgress> {
    const node = this.#fenced(target, fence);
    const { raft, disk } = node;
    let object = this.bucket.at(key);
    if (object === undefined) {
      if (!raft || !disk?.up || !disk.opened) throw new TransientError('etcd is down (etcd-down)');
      // The rules for what a recovery starts from are none for a backup that is taken while all is well.
      if (key.endsWith(`-${node.task.memberName}.snap`)) this.#o.events.saving(node);
      const content = raft.content(disk);
      const revision = raft.baseRevision + content.length - raft.base.length;
      const doneAt = this.#world.now() + this.#o.random.int(200, 8_000);
      object = { snapshot: { content, revision }, doneAt };
      this.bucket.put(key, object.snapshot, doneAt);
    }
    if (object.doneAt > this.#world.now()) return { state: 'running', bytes: 1 };
    return { state: 'done', bytes: 1, sha256: key, revision: object.snapshot.revision };
  }

  /** The storage of all is at the target once a downgrade has been enabled for a while. */
  storageVersion(raft: Raft): string {
    const settled = raft.downgradeTo !== undefined && this.#world.now() - raft.downgradeSince > 1_500;
    if (settled) return raft.downgradeTo!;
    let lowest: string | undefined;
    for (const zero of this.#minorsOfVoters(raft)) if (lowest === undefined || zero < lowest) lowest = zero;
    return raft.storageVersion.at(lowest ?? '3.6.0', this.#world.now());
  }

  *#minorsOfVoters(raft: Raft): Generator<string> {
    for (const { etcdId, isLearner } of raft.newest().values()) {
      const disk = raft.disks.get(etcdId);
      const version = disk && !isLearner ? this.ofDisk(disk)?.boot?.version : undefined;
      if (version !== undefined) yield minorZero(version);
    }
  }

  /** Then etcd's own version may be above it at any time. */
  #allAbove(raft: Raft, version: string): boolean {
    return [...this.#minorsOfVoters(raft)].every((minor) => minor > minorZero(version));
  }

  atAddress(ip: string): Node | undefined {
    const node = this.#byIp.get(ip);
    return node && isRunning(node.task) ? node : undefined;
  }

  #at(target: NannyTarget): Node {
    const node = this.atAddress(target.ip);
    if (!node?.listens || !this.#o.network.opens(controlPlane, node.task)) {
      throw new TransientError(`no answer from ${target.ip}`);
    }
    node.certificates?.meet(target);
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
    this.#byIp.set(task.ip, node);
    while (isAlive(task) && isWanted(task)) {
      const body = await this.#post(task, 'join', { csrs, hasData: false });
      const answer = body === undefined ? undefined : joinAnswerSchema.parse(body);
      if (answer?.answer === 'leave')
        return this.#o.fargate.end(task, 'Essential container exited', 'itself');
      if (answer?.answer === 'boot') return this.#boot(node, answer);
      if (answer?.answer === 'work') return this.#work(task, answer.order);
      await this.#o.clock.sleep(answer?.answer === 'wait' ? Math.max(500, answer.retryAfterMs) : 1_000);
    }
  }

  async #work(task: Task, order: WorkOrder): Promise<void> {
    const { orderId } = order;
    const { clock, random } = this.#o;
    await runWorker(task, order, {
      clock,
      random,
      bucket: this.bucket,
      onDisk: () => (task.snapshotId === undefined ? undefined : this.#o.onCopy(task.snapshotId)),
      post: async (progress) => {
        const answer = await this.#post(task, 'work', { orderId, progress });
        return answer === undefined ? undefined : workReportAnswerSchema.parse(answer);
      },
    });
    if (isRunning(task)) this.#o.fargate.end(task, 'Essential container exited', 'itself');
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
    node.certificates = new FakeCertificates(answer.certificates);
    this.#o.events.booting(node, answer);
    node.listens = true;
    node.state = 'starting';
    await clock.sleep(bootMs + (answer.restore ? this.#o.random.int(500, 5_000) : 0));
    while (isRunning(node.task) && node.state === 'starting' && node.disk === undefined) {
      const problem = this.#found(node, answer.restore);
      if (problem === 'retry') await clock.sleep(2_000);
      else if (problem !== undefined) {
        node.state = 'data-lost';
        this.#exited(node, problem);
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
      const object = restore && this.bucket.at(restore.key);
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
    this.#byDisk.set(disk, node);
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
    this.#exited(node, 'removed from the cluster');
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
    ship(node, this.bucket);
    return statusOf(node, clock.now(), {
      ofDisk: (disk) => this.ofDisk(disk),
      reaches: (other) => network.opens(node.task, other.task),
      storageVersion: (raft) => this.storageVersion(raft),
    });
  }

  async #post(task: Task, route: Route, body: Record<string, unknown>): Promise<unknown> {
    if (!this.#o.network.opens(task, controlPlane)) {
      await this.#o.clock.sleep(2_000);
      return undefined;
    }
    const who = { tenantId: task.tenantId, memberName: task.memberName };
    return this.#o.call(route, { ...who, ...body }, task);
  }
}
