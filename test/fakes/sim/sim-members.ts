import { TransientError } from '../../../lambdas/core/errors.ts';
import { quorumOf } from '../../../lambdas/core/members.ts';
import type { NannyClient, NannyTarget } from '../../../lambdas/core/ports.ts';
import type { EtcdState, NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { type JoinAnswer, joinAnswerSchema } from '../../../lambdas/core/wire/join.ts';
import type { SimEcs, SimTask } from './sim-ecs.ts';
import type { VirtualClock } from './virtual-clock.ts';

export type CallJoin = (
  route: 'join' | 'report',
  body: unknown,
  caller: { session: string; sourceIp: string },
) => Promise<{ status: number; body: unknown }>;

interface SimMember {
  readonly task: SimTask;
  state: EtcdState;
  lastExit?: NannyStatus['etcd']['lastExit'];
  boot?: { mode: string; incarnation: number; version: string; token: string; cluster: string };
}

const bootMs = 300;
const argument = (boot: { etcdArguments: string[] }, name: string): string =>
  boot.etcdArguments.find((entry) => entry.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';

/** 16 hex digits that depend on the text only, as etcd's ids depend on token, URLs and names. */
function hexId(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const character of text) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n);
  }
  return hash.toString(16);
}

/** Every task's nanny and etcd: they join through the real join function, form quorums, and answer for their status. */
export class SimMembers implements NannyClient {
  readonly members = new Map<string, SimMember>();
  /** Initial cluster by token: what S3 forbids shows here. */
  readonly founded = new Map<string, Set<string>>();
  readonly violations: string[] = [];
  /** Tasks whose network is cut. */
  readonly cut = new Set<string>();
  /** Called when a member gets its boot answer, before it starts. */
  onBoot: (task: SimTask) => void = () => undefined;
  /** Latched cluster tokens, asked when a member is told `new`. */
  isLatched: (tenantId: string, token: string) => Promise<boolean> = async () => false;

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
    const member = [...this.members.values()].find(
      ({ task }) => task.ip === target.ip && task.desiredStatus !== 'STOPPED',
    );
    if (member === undefined || this.cut.has(member.task.taskArn)) {
      throw new TransientError(`no answer from ${target.ip}`);
    }
    return this.#statusOf(member);
  }

  addLearner = (): never => this.#later();
  promote = (): never => this.#later();
  removeMember = (): never => this.#later();
  moveLeadership = (): never => this.#later();

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
    return (await this.#post(member.task, 'report', { status: this.#statusOf(member) })).body;
  }

  async #live(task: SimTask): Promise<void> {
    const member: SimMember = { task, state: 'waiting' };
    this.members.set(task.memberName, member);
    const answer = await this.#join(member);
    if (answer === undefined) return;
    if (answer.answer === 'leave') return this.#ecs.end(task, 'Essential container exited');
    await this.#boot(member, answer);
  }

  async #join(member: SimMember): Promise<Exclude<JoinAnswer, { answer: 'wait' }> | undefined> {
    const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };
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
    const token = argument(answer, 'initial-cluster-token');
    const cluster = argument(answer, 'initial-cluster');
    this.onBoot(member.task);
    if (answer.mode === 'new') {
      if (await this.isLatched(member.task.tenantId, token)) {
        this.violations.push(`S3: ${member.task.memberName} was told new after the latch`);
      }
      const founded = this.founded.get(token) ?? new Set();
      this.founded.set(token, founded.add(cluster));
      if (founded.size > 1) this.violations.push(`S3: token ${token} has two initial clusters`);
    }
    const { mode, incarnation, etcdVersion: version } = answer;
    member.boot = { mode, incarnation, version, token, cluster };
    member.state = 'starting';
    await this.#clock.sleep(bootMs);
    if (mode !== 'new') member.state = 'data-lost';
    // Ready when a quorum of the same cluster runs; each polls by itself, like /readyz.
    while (member.state === 'starting' && member.task.desiredStatus !== 'STOPPED') {
      if (this.#started(member).length >= quorumOf(cluster.split(',').length)) member.state = 'ready';
      else await this.#clock.sleep(100);
    }
    await this.#post(member.task, 'report', { status: this.#statusOf(member) });
  }

  #started(member: SimMember): SimMember[] {
    return [...this.members.values()].filter(
      (other) =>
        other.boot !== undefined &&
        other.boot.token === member.boot?.token &&
        other.boot.cluster === member.boot.cluster &&
        ['starting', 'ready'].includes(other.state) &&
        !this.cut.has(other.task.taskArn) &&
        other.task.desiredStatus !== 'STOPPED',
    );
  }

  #statusOf(member: SimMember): NannyStatus {
    const { task, boot } = member;
    const ids = this.#started(member)
      .map((other) => hexId(`${boot?.token} ${other.task.memberName}`))
      .sort();
    const clusterId = hexId(`${boot?.token} ${boot?.cluster}`);
    const self = {
      etcdId: hexId(`${boot?.token} ${task.memberName}`),
      clusterId,
      version: boot?.version ?? '3.6.16',
      revision: 1,
      raftTerm: 2,
      raftIndex: 9,
      raftAppliedIndex: 9,
      leader: ids[0] ?? '0',
      isLearner: false,
      dbSize: 20_480,
      dbSizeInUse: 16_384,
      errors: [],
    };
    const others = [...this.members.values()].filter(
      (other) => other.boot?.token === boot?.token && other.boot?.cluster === boot?.cluster,
    );
    return {
      at: this.#clock.now().toISOString(),
      tenantId: task.tenantId,
      memberName: task.memberName,
      incarnation: boot?.incarnation ?? 0,
      etcd: {
        state: member.state,
        restarts: member.lastExit ? 1 : 0,
        ...(member.lastExit && { lastExit: member.lastExit }),
      },
      alarms: [],
      ...(member.state === 'ready' && {
        self,
        view: {
          clusterId,
          linearizable: true,
          members: others.map((other) => ({
            etcdId: hexId(`${boot?.token} ${other.task.memberName}`),
            name: other.task.memberName,
            peerUrls: [`https://${other.task.ip}:2380`],
            clientUrls: [`https://${other.task.ip}:2379`],
            isLearner: false,
            reachable: other.task.desiredStatus !== 'STOPPED' && !this.cut.has(other.task.taskArn),
          })),
        },
      }),
    };
  }

  #post(task: SimTask, route: 'join' | 'report', body: Record<string, unknown>) {
    const session = task.taskArn.split('/').at(-1)!;
    const who = { tenantId: task.tenantId, memberName: task.memberName };
    return this.#call(route, { ...who, ...body }, { session, sourceIp: task.ip });
  }

  #later(): never {
    throw new Error('membership changes come with a later issue');
  }
}
