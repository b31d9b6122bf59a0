import { ControlPlaneError, LeaseLostError, TransientError } from '../../../lambdas/core/errors.ts';
import type { NannyClient, NannyTarget } from '../../../lambdas/core/ports.ts';
import type {
  BackupOrder,
  EtcdState,
  HashKvAnswer,
  NannyStatus,
  RenewOrder,
  SnapshotProgress,
  SwapRequest,
} from '../../../lambdas/core/wire/admin.ts';
import { type JoinAnswer, joinAnswerSchema } from '../../../lambdas/core/wire/join.ts';
import type { WorkOrder } from '../../../lambdas/core/wire/work.ts';
import { FakeCertificates } from '../fake-pki.ts';
import { SimBucket } from './sim-bucket.ts';
import { type Listed, SimCluster } from './sim-cluster.ts';
import type { SimEcs, SimTask } from './sim-ecs.ts';
import { argument, type SimMember } from './sim-member.ts';
import { SimShipping } from './sim-shipping.ts';
import { runSimWorker } from './sim-worker.ts';
import type { VirtualClock } from './virtual-clock.ts';

export type CallJoin = (
  route: 'join' | 'report' | 'renew' | 'work',
  body: unknown,
  caller: { session: string; sourceIp: string },
) => Promise<{ status: number; body: unknown }>;

const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };
const bootMs = 300;
const swapMs = 800;
const minorZero = (version: string): string => `${version.split('.').slice(0, 2).join('.')}.0`;

/** Every task's nanny and etcd: they join through the real join function, form clusters, and answer for their status. */
export class SimMembers implements NannyClient {
  readonly members = new Map<string, SimMember>();
  readonly clusters = new Map<string, SimCluster>();
  /** Initial cluster by token: what S3 forbids shows here. */
  readonly founded = new Map<string, Set<string>>();
  readonly violations: string[] = [];
  /** Tasks whose network is cut. */
  readonly cut = new Set<string>();
  /** A learner has all the data so long after its start. */
  syncMs = 700;
  /** Called when a member gets its boot answer, before it starts. */
  onBoot: (task: SimTask) => void = () => undefined;
  /** Latched cluster tokens, asked when a member is told `new`. */
  isLatched: (tenantId: string, token: string) => Promise<boolean> = async () => false;
  /** What nannies say, changed on its way out: alarms, sizes, lies. */
  alter: (status: NannyStatus) => NannyStatus = (status) => status;
  /** HashKV of a member; all the same by default. */
  hashOf: (memberName: string) => number = () => 1;
  hashAt: ((revision: number) => number) | undefined;
  /** Maintenance calls in their order: `compact 5 of <member>`. */
  readonly maintenance: string[] = [];
  /** Done with the n-th poll. */
  snapshotPolls = 3;
  readonly #snapshots = new Map<string, { polls: number; index: number }>();
  /** The backup bucket and what workers find in it. */
  readonly bucket = new SimBucket();
  /** Data that each token was restored from: `<key> <initial cluster>`. */
  readonly restored = new Map<string, Set<string>>();
  /** After each change of a membership or of leadership asked for. */
  onChange: (change: string, cluster: SimCluster) => void = () => undefined;

  /** Called as a worker begins a phase. */
  onWork: (task: SimTask, order: WorkOrder, phase: string) => void = () => undefined;
  workPhaseMs = 300;

  readonly #fences = new Map<string, number>();
  readonly #clock: VirtualClock;
  readonly #ecs: SimEcs;
  readonly #call: CallJoin;

  constructor(clock: VirtualClock, ecs: SimEcs, call: CallJoin) {
    this.#clock = clock;
    this.#ecs = ecs;
    this.#call = call;
    ecs.onRunning = (task) => void this.#live(task);
  }

  async status(target: NannyTarget): Promise<NannyStatus> {
    return this.alter(this.#statusOf(this.#at(target)));
  }

  async addLearner(target: NannyTarget, fence: number, peerUrl: string): Promise<{ etcdId: string }> {
    const { cluster } = this.#serving(target, fence);
    if (cluster.downgradeTo !== undefined) this.violations.push('a learner was added during a downgrade');
    const added = cluster.addLearner(peerUrl, this.#now());
    this.onChange(`add ${added.etcdId}`, cluster);
    return added;
  }

  async promote(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    const { cluster } = this.#serving(target, fence);
    const listed = cluster.members.get(etcdId);
    const learner = listed && this.#memberOf(listed);
    cluster.promote(etcdId, this.#now(), (learner?.applied ?? 0) >= cluster.index * 0.9);
    this.onChange(`promote ${etcdId}`, cluster);
  }

  async removeMember(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    const { cluster } = this.#serving(target, fence);
    const listed = cluster.members.get(etcdId);
    cluster.remove(etcdId, this.#now());
    if (!cluster.hasQuorum) this.violations.push(`S1: removing ${etcdId} cost the quorum`);
    this.onChange(`remove ${etcdId}`, cluster);
    // A live member that is removed exits by itself with code 0, and so does its nanny.
    const gone = listed && this.#memberOf(listed);
    if (gone) {
      gone.state = 'removed';
      this.#clock.at(50, () => this.#ecs.end(gone.task, 'Essential container exited', 500));
    }
  }

  async moveLeadership(target: NannyTarget, fence: number, toEtcdId: string): Promise<void> {
    const { member, cluster } = this.#serving(target, fence);
    cluster.moveLeader(this.#listedOf(member)!.etcdId, toEtcdId);
    this.onChange(`lead ${toEtcdId}`, cluster);
  }

  async downgrade(
    target: NannyTarget,
    fence: number,
    action: 'validate' | 'enable' | 'cancel',
    version: string,
  ): Promise<void> {
    const { cluster } = this.#serving(target, fence);
    if (action === 'cancel') cluster.downgradeTo = undefined;
    if (action !== 'enable') return;
    if (cluster.downgradeTo !== undefined) {
      throw new ControlPlaneError('invalid-request', 'downgrade job in progress');
    }
    cluster.downgradeTo = version;
    cluster.downgradeSince = this.#now();
  }

  async swap(target: NannyTarget, fence: number, { etcdVersion }: SwapRequest): Promise<void> {
    const { member, cluster } = this.#serving(target, fence);
    const before = member.boot!.version;
    const down = minorZero(etcdVersion) < minorZero(before);
    if (down && this.#storageVersion(member, cluster) !== minorZero(etcdVersion)) {
      member.state = 'data-lost';
      this.violations.push(`${member.task.memberName} was swapped to ${etcdVersion} before the storage was`);
      return;
    }
    if (down && cluster.downgradeTo === undefined && this.#allAbove(cluster, etcdVersion)) {
      this.violations.push(
        `${member.task.memberName} was swapped to ${etcdVersion} though no downgrade is enabled`,
      );
    }
    member.boot = { ...member.boot!, version: etcdVersion };
    member.state = 'starting';
    this.#clock.at(swapMs, () => {
      if (member.state === 'starting') member.state = 'ready';
      const done = cluster.voters.every((voter) => this.#memberOf(voter)?.boot?.version === etcdVersion);
      if (done) cluster.downgradeTo = undefined;
    });
  }

  async renew(target: NannyTarget, fence: number, order: RenewOrder): Promise<void> {
    const { member, cluster } = this.#serving(target, fence);
    const { status, body } = await this.#post(member.task, 'renew', { csrs });
    if (status !== 200) throw new TransientError(`join answers ${status}`);
    const certificates = member.certificates!;
    if (certificates.renewed(body, order)) {
      member.state = 'starting';
      const voters = cluster.voters.length;
      if (voters > 1 && cluster.leader === this.#listedOf(member)?.etcdId) {
        this.violations.push(`${member.task.memberName} leads and is restarted`);
      }
      const others = cluster.voters.filter((voter) => this.#memberOf(voter)?.state === 'ready').length;
      if (voters > 1 && others <= voters / 2) {
        this.violations.push(`S1: restarting ${member.task.memberName} costs the quorum`);
      }
      this.#clock.at(swapMs, () => {
        certificates.trusted = certificates.bundle;
        if (member.state === 'starting') member.state = 'ready';
        this.#checkTrust(cluster);
      });
    }
    this.#checkTrust(cluster);
  }

  /** Every voter's etcd accepts every other one. */
  #checkTrust(cluster: SimCluster): void {
    const voters = cluster.voters.flatMap((voter) => this.#memberOf(voter) ?? []);
    for (const one of voters) {
      for (const other of voters) {
        if (one.certificates!.accepts(other.certificates!)) continue;
        this.violations.push(`S10: ${one.task.memberName} does not trust ${other.task.memberName}`);
      }
    }
  }

  async compact(target: NannyTarget, fence: number, revision: number): Promise<void> {
    this.maintenance.push(`compact ${revision} of ${this.#serving(target, fence).member.task.memberName}`);
  }

  async defragment(target: NannyTarget, fence: number): Promise<void> {
    const { member, cluster } = this.#serving(target, fence);
    const leads = this.#listedOf(member)?.etcdId === cluster.leader ? ' (leader)' : '';
    this.maintenance.push(`defragment of ${member.task.memberName}${leads}`);
  }

  async disarm(target: NannyTarget, fence: number): Promise<{ disarmed: number }> {
    this.maintenance.push(`disarm of ${this.#serving(target, fence).member.task.memberName}`);
    return { disarmed: 1 };
  }

  async hashKv(target: NannyTarget, revision: number): Promise<HashKvAnswer> {
    const { task } = this.#at(target);
    const hash = this.hashAt?.(revision) ?? this.hashOf(task.memberName);
    return { hash, hashRevision: revision, compactRevision: 0 };
  }

  readonly shipping = new SimShipping(this.bucket);

  async backup(target: NannyTarget, fence: number, order: BackupOrder): Promise<void> {
    const { task } = this.#serving(target, fence).member;
    this.shipping.orders.set(task.memberName, order);
  }

  async snapshot(
    target: NannyTarget,
    fence: number,
    { key }: { bucket: string; key: string },
  ): Promise<SnapshotProgress> {
    const member = this.#at(target);
    const { tenantId } = member.task;
    if (fence < (this.#fences.get(tenantId) ?? 0)) throw new LeaseLostError('somebody has a newer lease');
    this.#fences.set(tenantId, fence);
    if (!this.#isUp(member)) throw new TransientError('etcd is down (etcd-down)');
    const known = this.#snapshots.get(key) ?? { polls: 0, index: member.applied };
    this.#snapshots.set(key, { ...known, polls: known.polls + 1 });
    if (known.polls + 1 < this.snapshotPolls) return { state: 'running', bytes: known.polls * 1_000_000 };
    this.bucket.objects.set(key, known.index);
    return { state: 'done', bytes: 3_000_000, sha256: 'f'.repeat(64), revision: known.index };
  }

  /** The process of a member's etcd, as its nanny would tell of it. */
  setState(memberName: string, state: EtcdState): void {
    const member = this.members.get(memberName);
    if (member === undefined) throw new Error(`no member ${memberName}`);
    member.state = state;
  }

  /** Its etcd is killed; what follows is up to setState. */
  fall(memberName: string): void {
    const at = this.#clock.now().toISOString();
    const lastExit = { at, code: null, signal: 'SIGKILL', reason: 'etcd was ended by SIGKILL' };
    Object.assign(this.members.get(memberName)!, { lastExit });
  }

  async report(memberName: string): Promise<unknown> {
    const member = this.members.get(memberName)!;
    return (await this.#post(member.task, 'report', { status: this.alter(this.#statusOf(member)) })).body;
  }

  #now(): number {
    return this.#clock.now().getTime();
  }

  #at(target: NannyTarget): SimMember {
    const member = [...this.members.values()].find(
      ({ task }) => task.ip === target.ip && task.lastStatus === 'RUNNING',
    );
    if (member === undefined || this.cut.has(member.task.taskArn)) {
      throw new TransientError(`no answer from ${target.ip}`);
    }
    member.certificates?.meet(target);
    return member;
  }

  #serving(target: NannyTarget, fence: number): { member: SimMember; cluster: SimCluster } {
    const member = this.#at(target);
    const { tenantId } = member.task;
    if (fence < (this.#fences.get(tenantId) ?? 0)) throw new LeaseLostError('somebody has a newer lease');
    this.#fences.set(tenantId, fence);
    const cluster = this.#clusterOf(member);
    if (cluster === undefined || !this.#isUp(member)) throw new TransientError('etcd is down (etcd-down)');
    return { member, cluster };
  }

  #clusterOf(member: SimMember): SimCluster | undefined {
    return member.boot && this.clusters.get(member.boot.token);
  }

  #listedOf(member: SimMember): Listed | undefined {
    return this.#clusterOf(member)?.byUrl(`https://${member.task.ip}:2380`);
  }

  #memberOf(listed: Listed): SimMember | undefined {
    return [...this.members.values()].find(
      ({ task }) => `https://${task.ip}:2380` === listed.peerUrl && task.lastStatus === 'RUNNING',
    );
  }

  #isUp(member: SimMember): boolean {
    return (
      ['starting', 'ready'].includes(member.state) &&
      member.boot !== undefined &&
      !this.cut.has(member.task.taskArn) &&
      member.task.lastStatus === 'RUNNING'
    );
  }

  async #live(task: SimTask): Promise<void> {
    const member: SimMember = { task, state: 'waiting', applied: 0 };
    this.members.set(task.memberName, member);
    const answer = await this.#join(member);
    if (answer === undefined) return;
    if (answer.answer === 'work') return this.#work(task, answer.order);
    if (answer.answer !== 'boot') return this.#ecs.end(task, 'Essential container exited');
    await this.#boot(member, answer);
  }

  async #join(member: SimMember): Promise<Exclude<JoinAnswer, { answer: 'wait' }> | undefined> {
    while (member.task.desiredStatus !== 'STOPPED') {
      const { status, body } = await this.#post(member.task, 'join', { csrs, hasData: false });
      if (status === 200) {
        const answer = joinAnswerSchema.parse(body);
        if (answer.answer !== 'wait') return answer;
        await this.#clock.sleep(answer.retryAfterMs);
      } else {
        await this.#clock.sleep(500);
      }
    }
    return undefined;
  }

  async #boot(member: SimMember, answer: Extract<JoinAnswer, { answer: 'boot' }>): Promise<void> {
    const { task } = member;
    const token = argument(answer, 'initial-cluster-token');
    const initial = argument(answer, 'initial-cluster');
    const urls = initial.split(',').map((entry) => entry.slice(entry.indexOf('=') + 1));
    this.onBoot(task);
    const { mode, incarnation, etcdVersion: version } = answer;
    if (mode === 'new' || mode === 'restore') {
      if (await this.isLatched(task.tenantId, token)) {
        this.violations.push(`S3: ${task.memberName} was told new after the latch`);
      }
      const founded = this.founded.get(token) ?? new Set();
      this.founded.set(token, founded.add(initial));
      if (founded.size > 1) this.violations.push(`S3: token ${token} has two initial clusters`);
      if (!this.clusters.has(token)) {
        const isUp = (etcdId: string): boolean => {
          const listed = this.clusters.get(token)?.members.get(etcdId);
          const up = listed && this.#memberOf(listed);
          return up !== undefined && this.#isUp(up);
        };
        this.clusters.set(token, new SimCluster(token, urls, this.#now(), isUp));
      }
    }
    if (mode === 'restore') {
      const { key, initialCluster } = answer.restore!;
      const snapshot = this.bucket.objects.get(key);
      if (snapshot === undefined) {
        this.violations.push(`S5: ${task.memberName} restores from ${key}, which is not in S3`);
      }
      const restored = this.restored.get(token) ?? new Set();
      this.restored.set(token, restored.add(`${key} ${initialCluster}`));
      if (restored.size > 1) this.violations.push(`S5: token ${token} is restored from two sources`);
      const old = this.#ecs.alive(task.tenantId).filter((other) => {
        const boot = this.members.get(other.memberName)?.boot;
        return boot !== undefined && boot.incarnation < incarnation;
      });
      for (const other of old)
        this.violations.push(`S5: ${other.memberName} of an old incarnation still runs`);
      this.clusters.get(token)!.index = Math.max(9, snapshot ?? 0);
    }
    member.boot = { mode, incarnation, version, token };
    member.certificates = new FakeCertificates(answer.certificates);
    member.arguments = answer.etcdArguments;
    member.state = 'starting';
    await this.#clock.sleep(bootMs);
    const cluster = this.clusters.get(token);
    const listedUrls = [...(cluster?.members.values() ?? [])].map((listed) => listed.peerUrl);
    // etcd refuses a list that is not its own; and a disk without data cannot be resumed.
    const mayStart =
      mode === 'new' ||
      mode === 'restore' ||
      (mode === 'existing' && listedUrls.sort().join() === urls.sort().join());
    if (!mayStart || cluster === undefined) member.state = 'data-lost';
    else if (mode === 'existing') {
      if (cluster.downgradeTo !== undefined) member.state = 'data-lost';
      this.#clock.at(this.syncMs, () => {
        member.applied = cluster.index;
      });
    } else member.applied = cluster.index;
    // Ready when it votes and a quorum of its cluster runs; each polls by itself, like /readyz.
    while (member.state === 'starting' && task.desiredStatus !== 'STOPPED') {
      if (cluster?.hasQuorum && this.#listedOf(member)?.isLearner === false) member.state = 'ready';
      else await this.#clock.sleep(100);
    }
    await this.#post(task, 'report', { status: this.alter(this.#statusOf(member)) });
  }

  async #work(task: SimTask, order: WorkOrder): Promise<void> {
    const problem = await runSimWorker({
      task,
      order,
      clock: this.#clock,
      bucket: this.bucket,
      phaseMs: this.workPhaseMs,
      onPhase: (phase) => this.onWork(task, order, phase),
      post: async (progress) => {
        const { status, body } = await this.#post(task, 'work', { orderId: order.orderId, progress });
        return status === 200 && (body as { leave: boolean }).leave;
      },
    });
    if (problem !== undefined) this.violations.push(problem);
    this.#ecs.end(task, 'Essential container exited');
  }

  /** Then etcd's own version may be above it at any time. */
  #allAbove(cluster: SimCluster, version: string): boolean {
    const minors = cluster.voters
      .flatMap((voter) => this.#memberOf(voter)?.boot?.version ?? [])
      .map(minorZero);
    return minors.every((minor) => minor > minorZero(version));
  }

  #storageVersion(member: SimMember, cluster: SimCluster): string {
    const settled = cluster.downgradeTo !== undefined && this.#now() - cluster.downgradeSince > 1_500;
    if (settled) return cluster.downgradeTo!;
    const versions = cluster.voters.flatMap((voter) => this.#memberOf(voter)?.boot?.version ?? []);
    const lowest = versions.map(minorZero).sort()[0] ?? minorZero(member.boot!.version);
    return cluster.storageVersion.at(lowest, this.#now());
  }

  #statusOf(member: SimMember): NannyStatus {
    const { task, boot } = member;
    const cluster = this.#clusterOf(member);
    const listed = this.#listedOf(member);
    const answers = cluster !== undefined && listed !== undefined && this.#isUp(member);
    const state =
      member.state === 'ready' && cluster !== undefined && !(cluster.hasQuorum && listed)
        ? 'not-ready'
        : member.state;
    const applied = Math.min(member.applied, cluster?.index ?? 0);
    return {
      at: this.#clock.now().toISOString(),
      tenantId: task.tenantId,
      memberName: task.memberName,
      incarnation: boot?.incarnation ?? 0,
      etcd: {
        state,
        restarts: member.lastExit ? 1 : 0,
        ...(member.lastExit && { lastExit: member.lastExit }),
      },
      alarms: [],
      ...this.shipping.statusOf(task.memberName, cluster?.index ?? 0, this.#clock.now()),
      ...(member.certificates && { certificates: member.certificates.status }),
      ...(answers && {
        self: {
          etcdId: listed.etcdId,
          clusterId: cluster.clusterId,
          version: boot?.version ?? '3.6.16',
          revision: Math.max(1, applied),
          raftTerm: 2,
          raftIndex: applied,
          raftAppliedIndex: listed.isLearner ? applied : cluster.index,
          leader: cluster.leader,
          isLearner: listed.isLearner,
          dbSize: 20_480,
          dbSizeInUse: 16_384,
          storageVersion: this.#storageVersion(member, cluster),
          errors: [],
        },
        downgrade: {
          enabled: cluster.downgradeTo !== undefined,
          targetVersion: cluster.downgradeTo ?? '',
        },
        view: {
          clusterId: cluster.clusterId,
          linearizable: cluster.hasQuorum && !listed.isLearner,
          members: [...cluster.members.values()].map((entry) => {
            const other = this.#memberOf(entry);
            return {
              etcdId: entry.etcdId,
              name: other?.boot === undefined ? '' : other.task.memberName,
              peerUrls: [entry.peerUrl],
              clientUrls: other === undefined ? [] : [`https://${other.task.ip}:2379`],
              isLearner: entry.isLearner,
              reachable: other !== undefined && this.#isUp(other),
            };
          }),
        },
      }),
    };
  }

  #post(task: SimTask, route: Parameters<CallJoin>[0], body: Record<string, unknown>) {
    const session = task.taskArn.split('/').at(-1)!;
    const who = { tenantId: task.tenantId, memberName: task.memberName };
    return this.#call(route, { ...who, ...body }, { session, sourceIp: task.ip });
  }
}
