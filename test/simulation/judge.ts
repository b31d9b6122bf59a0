import { quorumOf } from '../../lambdas/core/members.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import type { JoinAnswer } from '../../lambdas/core/wire/join.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import type { Fargate, Task } from './fargate.ts';
import { controlPlane, type Network } from './network.ts';
import type { Node, Nodes } from './nodes.ts';
import type { Raft } from './raft.ts';

export interface JudgeWorld {
  readonly now: () => Date;
  readonly tenantId: string;
  readonly fargate: Fargate;
  readonly nodes: () => Nodes;
  readonly network: Network;
  /** The record as it is now. */
  readonly record: () => TenantRecord | undefined;
  /** Since when so many of the cell's tenants are sick that it is a storm, ms. */
  readonly storm: () => number | undefined;
}

/** What was decided before a storm, or before somebody paused, may end: some calls, each slow. */
const underWayMs = 20_000;
/** Who stands where nobody was meant to stay is moved when repair and operation are through, by the next look. */
const unevenMs = 20 * 60_000;
/** A surge of five members moves it five times at most, and goes on for longer. */
const mostHandOvers = 8;

/**
 * Watches what must never happen, in the world itself: it asks neither the safety rules nor what the control plane
 * believes, but who really runs, what is really on the disks and who really votes.
 */
export class Judge {
  readonly violations: string[] = [];
  /** Incarnations of which a majority of the disks was lost by faults, or whose loss a person agreed to. */
  readonly excused = new Set<number>();
  /** Incarnations of which acknowledged writes may be lost: no majority of the disks could be read when they ended, or who was left was taken. */
  readonly lossy = new Set<number>();
  /** Writes that a restore has taken back. */
  readonly #takenBack = new Set<number>();
  /** Writes that clients were told are safe. */
  readonly acknowledged: { readonly write: number; readonly incarnation: number }[] = [];
  readonly #world: JudgeWorld;
  readonly #founded = new Map<number, string>();
  /** Incarnations whose loss a person agreed to. */
  readonly #agreed = new Set<number>();
  readonly #formed = new Set<number>();
  #zoneTrouble = false;
  #unevenSince: number | undefined;
  #handedOver: readonly number[] = [];

  constructor(world: JudgeWorld) {
    this.#world = world;
  }

  complain(what: string): void {
    if (this.violations.length < 20)
      this.violations.push(`${this.#world.now().toISOString().slice(11, 19)} ${what}`);
  }

  /** A zone is or was in trouble: members may double up elsewhere, after the hold. */
  zoneTrouble(): void {
    this.#zoneTrouble = true;
  }

  /** S3, and one cluster an incarnation; S5: nothing of the old incarnation runs any more. */
  booting(node: Node, answer: Extract<JoinAnswer, { answer: 'boot' }>): void {
    const { mode, incarnation } = answer;
    if (mode !== 'new' && mode !== 'restore') return;
    const { token, urls } = node.boot!;
    const founds = `${token} ${[...urls].sort().join()} ${answer.restore?.key ?? ''}`;
    const before = this.#founded.get(incarnation);
    this.#founded.set(incarnation, founds);
    if (before !== undefined && before !== founds) {
      this.complain(`S3: incarnation ${incarnation} is founded twice (${before} and ${founds})`);
    }
    const record = this.#world.record();
    if (record?.incarnation.state === 'formed' && record.incarnation.number >= incarnation) {
      this.complain(`S3: ${node.task.memberName} is told ${mode} after the latch`);
    }
    const last = Math.max(0, ...[...this.#formed].filter((number) => number < incarnation));
    if (before === undefined && mode === 'restore') this.#began(last, answer.restore?.key ?? '');
    if (last > 0 && !this.excused.has(last)) {
      this.complain(
        `S5: incarnation ${incarnation} begins, a majority of the disks of ${last} is there, and nobody agreed`,
      );
    }
    if (last > 0 && record?.spec.recovery === 'approve' && !this.#agreed.has(last)) {
      this.complain(`S5: incarnation ${incarnation} begins, and nobody was asked`);
    }
    for (const raft of this.#world.nodes().rafts) {
      if (raft.incarnation >= incarnation) continue;
      const alive = [...raft.disks.values()].filter((disk) => disk.up);
      if (alive.length > 0 && mode === 'restore') {
        this.complain(
          `S5: incarnation ${incarnation} begins while ${alive.length} members of ${raft.incarnation} run`,
        );
      }
    }
  }

  /** Where a new incarnation has its data from decides what of the old one may be missing in it. */
  #began(last: number, key: string): void {
    const nodes = this.#world.nodes();
    const record = this.#world.record();
    const content = new Set(nodes.bucket.at(key)?.snapshot.content);
    const again = [...content].filter((write) => this.#takenBack.has(write));
    if (again.length > 0)
      this.complain(`${again.length} writes that a restore had taken back are there again`);
    const incarnation = record?.incarnation;
    const source = incarnation?.state === 'formed' ? undefined : incarnation?.restore;
    if (record?.operation?.kind === 'restore' && record.restore?.prepared?.source.key === key) {
      for (const { write } of this.acknowledged) if (!content.has(write)) this.#takenBack.add(write);
      this.lossy.add(last);
    }
    const old = nodes.rafts.find((raft) => raft.incarnation === last);
    const { voters, left } = old?.readable() ?? { voters: 1, left: 0 };
    // Whoever answers goes before disks (decisions/0079).
    if (source?.kind === 'survivor' || left < quorumOf(voters)) this.lossy.add(last);
  }

  /** S6: a disk that may yet be what everything comes back of is removed. */
  removingDisk(task: Task): void {
    const { status } = this.#world.record() ?? {};
    if (status === undefined || ['deleting', 'hibernated'].includes(status.phase)) return;
    const nodes = this.#world.nodes();
    const { raft, disk } = nodes.byName.get(task.memberName) ?? {};
    if (!raft || !disk?.kept || raft !== nodes.rafts.at(-1)) return;
    if (raft.newest().get(disk.etcdId)?.isLearner === false) {
      this.complain(`S6: the disk of ${task.memberName}, a voter, is removed`);
    }
  }

  /** Nobody needs that: two reasons undo each other. */
  handingOver(): void {
    const now = this.#world.now().getTime();
    this.#handedOver = [...this.#handedOver.filter((at) => now - at < 60_000), now];
    if (this.#handedOver.length > mostHandOvers) {
      this.complain(`leadership is handed over ${this.#handedOver.length} times within a minute`);
    }
  }

  /** S1 before a removal; S8; and nothing at all of a tenant that is paused. */
  removing(raft: Raft, etcdId: string): void {
    const config = raft.leader?.config;
    if (config === undefined || config.get(etcdId)?.isLearner !== false) return;
    const now = this.#world.now().getTime();
    const storm = this.#world.storm();
    if (storm !== undefined && now - storm > underWayMs) {
      this.complain(`S8: a voter is removed in a storm that is ${Math.round((now - storm) / 1_000)} s old`);
    }
    const { paused, status } = this.#world.record() ?? {};
    if (paused && status?.phase !== 'deleting' && now - Date.parse(paused.since) > underWayMs) {
      this.complain(`paused since ${paused.since}, and a voter is removed`);
    }
    const voters = [...config.values()].filter((each) => !each.isLearner);
    const serving = voters.filter((each) => {
      const disk = raft.disks.get(each.etcdId);
      return disk !== undefined && raft.linearizable(disk);
    });
    if (!serving.some((each) => each.etcdId === etcdId)) return;
    const stay = voters.length - 1;
    if (serving.length - 1 < quorumOf(stay)) {
      this.complain(`S1: a healthy voter is removed and ${serving.length - 1} of ${stay} stay`);
    }
  }

  /** S1: a task of a living cluster's voter is stopped. */
  stopping(task: Task): void {
    const record = this.#world.record();
    if (record === undefined || record.status.phase === 'deleting') return;
    const node = this.#world.nodes().byName.get(task.memberName);
    const { raft, disk } = node ?? {};
    if (!raft || !disk || disk.gone) return;
    const listed = raft.newest().get(disk.etcdId);
    if (listed === undefined || listed.isLearner) return;
    const present = record.incarnation.state === 'formed' && record.incarnation.number === raft.incarnation;
    if (!present) return;
    if (raft.linearizable(disk) && !this.excused.has(raft.incarnation)) {
      this.complain(`S1: the task of ${task.memberName}, a voter that serves, is stopped`);
    }
  }

  /** S6: nobody within reach has more than the one that is saved. */
  saving(node: Node): void {
    const { raft, disk } = node;
    const { network } = this.#world;
    const better = this.#world
      .nodes()
      .nodes()
      .filter((other) => other.raft === raft && other.disk?.up && other.disk.opened && other.listens)
      .filter((other) => network.opens(controlPlane, other.task) && !other.disk!.isLearner)
      .find(
        ({ disk: other }) =>
          other!.lastTerm > disk!.lastTerm ||
          (other!.lastTerm === disk!.lastTerm && other!.log.length > disk!.log.length),
      );
    if (better) {
      this.complain(`S6: ${node.task.memberName} is saved and ${better.task.memberName} has more`);
    }
  }

  /** A disk is gone. */
  lost(raft: Raft): void {
    const { voters, left } = raft.survival();
    if (left < quorumOf(voters)) this.excused.add(raft.incarnation);
    const readable = raft.readable();
    if (readable.left < quorumOf(readable.voters)) this.lossy.add(raft.incarnation);
  }

  acknowledge(write: number, raft: Raft): void {
    this.acknowledged.push({ write, incarnation: raft.incarnation });
    const others = this.#world.nodes().rafts.filter((other) => other !== raft && other.leader !== undefined);
    if (others.length > 0)
      this.complain('split brain: a write is acknowledged while two clusters have leaders');
  }

  /** The record as it is saved. */
  saved(record: TenantRecord): void {
    const members = Object.values(record.members);
    // Five voters and a newcomer; whoever leaves waits for its task to be STOPPED, and several may do so at once.
    if (members.length > 12) this.complain(`${members.length} members are on record`);
    const { number, state } = record.incarnation;
    // Ordered by a person: everybody is stopped.
    if (record.operation?.kind === 'restore' && record.restore?.fencedAt !== undefined) {
      this.#agreed.add(record.restore.incarnation);
      this.excused.add(record.restore.incarnation);
    }
    if (record.remediation?.approved) {
      this.#agreed.add(number);
      this.excused.add(number);
    }
    if (state !== 'formed') return;
    this.#formed.add(number);
    const newcomers = members.filter((m) =>
      ['requested', 'launching', 'joined', 'learner'].includes(m.state),
    );
    if (newcomers.length > 1) this.complain(`S2: ${newcomers.length} newcomers at once`);
    const voting = members.filter((member) => member.state === 'voting');
    const counts = new Map<string, number>();
    for (const { zone } of voting) counts.set(zone, (counts.get(zone) ?? 0) + 1);
    const most = Math.max(0, ...counts.values());
    const few = voting.length < 3 || voting.length < record.spec.members;
    // A surge newcomer that is promoted after the one in another zone died doubles up until that is mended: two voters
    // that may not lose any would be worse. At the end the spread is even again, or it is a problem.
    if (this.#zoneTrouble || few || most <= voting.length / 2) {
      this.#unevenSince = undefined;
      return;
    }
    const now = this.#world.now().getTime();
    this.#unevenSince ??= now;
    if (now - this.#unevenSince > unevenMs) {
      this.complain(
        `S4: ${most} of ${voting.length} voters are in one zone for ${unevenMs / 60_000} minutes`,
      );
      this.#unevenSince = now;
    }
  }

  /** After each step of the world: what holds at every moment. */
  always(): void {
    const { nodes } = this.#world;
    for (const raft of nodes().rafts) {
      const config = raft.leader?.config;
      if (config === undefined) continue;
      const learners = [...config.values()].filter((each) => each.isLearner).length;
      if (learners > 1) this.complain(`S2: ${learners} learners`);
    }
    if (nodes().rafts.length < 2) return;
    const led = nodes().rafts.filter((raft) => raft.leader !== undefined);
    if (led.length > 1) this.complain('S9: two clusters of one tenant have leaders');
  }

  /** No acknowledged write is lost as long as a majority of its disks was left, and nobody wanted it back as it was. */
  data(raft: Raft | undefined): void {
    const holder = raft?.leader ?? [...(raft?.disks.values() ?? [])][0];
    const there = new Set(raft && holder ? raft.content(holder) : []);
    const lost = this.acknowledged.filter(
      ({ write, incarnation }) => !there.has(write) && !this.#isExcused(incarnation, raft?.incarnation ?? 0),
    );
    if (lost.length > 0) {
      this.complain(
        `${lost.length} acknowledged writes are lost (${lost.slice(0, 5).map((each) => each.write)})`,
      );
    }
  }

  /** A write of an old incarnation may have been lost when that or a later one was. */
  #isExcused(from: number, to: number): boolean {
    for (let incarnation = from; incarnation < Math.max(to, from + 1); incarnation++) {
      if (this.lossy.has(incarnation)) return true;
    }
    return false;
  }

  leaks(): string[] {
    const record = this.#world.record();
    const owned = new Set(
      Object.values(record?.members ?? {}).flatMap((m) => ('taskArn' in m && m.taskArn ? [m.taskArn] : [])),
    );
    return this.#world.fargate
      .alive(this.#world.tenantId)
      .filter((task) => !owned.has(task.taskArn))
      .map((task) => task.memberName);
  }
}

type Saved = (record: TenantRecord | undefined) => void;

/** S8 as the judge understands it: so many tenants of a cell, and more than this share of them, sick within so long. */
const [stormTenants, stormShare, stormMs] = [3, 0.2, 5 * 60_000];
/** And it is over when fewer than so many have turned sick within that long. */
const stormEndsMs = 30 * 60_000;
/** Functions whose clock is that far off may see its end so much sooner. */
const clockOffMs = 3 * 60_000;

/** The store with somebody who reads along. */
export class WatchedStore extends InMemoryTenantStore {
  #stormSince: number | undefined;
  readonly #now: () => Date;
  readonly #saved = new Map<string, Saved>();
  readonly #sick = new Map<string, number>();

  constructor(now: () => Date) {
    super({ now });
    this.#now = now;
  }

  watch(tenantId: string, saved: Saved): void {
    this.#saved.set(tenantId, saved);
  }

  /** Since when it is a storm, ms. */
  get stormSince(): number | undefined {
    const newestFirst = [...this.#sick.values()].sort((a, b) => b - a);
    const counts = newestFirst[stormTenants - 1] ?? Number.NEGATIVE_INFINITY;
    return this.#now().getTime() - counts < stormEndsMs - clockOffMs ? this.#stormSince : undefined;
  }

  override async noteSick(cell: string, tenantId: string, since: Date | undefined): Promise<void> {
    await super.noteSick(cell, tenantId, since);
    const now = this.#now().getTime();
    if (since === undefined) this.#sick.delete(tenantId);
    else if (!this.#sick.has(tenantId)) this.#sick.set(tenantId, now);
    // The last to turn sick is the newest: the others of a storm did so within minutes before.
    const recent = [...this.#sick.values()].filter((at) => now - at <= stormMs).length;
    const storm = recent >= stormTenants && recent > stormShare * this.#saved.size;
    this.#stormSince = storm ? (this.stormSince ?? now) : undefined;
  }

  override async create(record: TenantRecord): Promise<void> {
    await super.create(record);
    this.#tell(record.tenantId, record);
  }

  override async save(next: TenantRecord, expectedVersion: number): Promise<void> {
    await super.save(next, expectedVersion);
    this.#tell(next.tenantId, next);
  }

  override async remove(tenantId: string, expectedVersion: number): Promise<void> {
    await super.remove(tenantId, expectedVersion);
    this.#tell(tenantId, undefined);
  }

  #tell(tenantId: string, record: TenantRecord | undefined): void {
    this.#saved.get(tenantId)?.(record);
  }
}
