import { ControlPlaneError, TransientError } from '../../lambdas/core/errors.ts';
import { quorumOf } from '../../lambdas/core/members.ts';
import { hexId } from '../fakes/sim/sim-cluster.ts';
import { StorageVersion } from '../fakes/sim/storage-version.ts';
import type { Random } from './random.ts';

export interface Listed {
  readonly etcdId: string;
  readonly peerUrl: string;
  readonly isLearner: boolean;
}

type Change =
  | { readonly kind: 'add' | 'promote'; readonly listed: Listed }
  | { readonly kind: 'remove'; readonly etcdId: string };

export interface Entry {
  readonly term: number;
  readonly write?: number;
  readonly change?: Change;
}

type Config = ReadonlyMap<string, Listed>;

/** etcd refuses changes until all voters have been connected for so long (HealthInterval). */
const healthIntervalMs = 5_000;

/** One member: its process, and the data it would still have after a restart. */
export class Disk {
  readonly etcdId: string;
  readonly peerUrl: string;
  log: Entry[] = [];
  commit = 0;
  config: Config;
  term = 1;
  /** Its process runs. */
  up = false;
  /** Since when it has been running and within reach of the others. */
  since = 0;
  /** It has had a quorum since it was started; before that etcd opens no client port. */
  opened = false;
  /** Nothing is left of it, and who is to blame. */
  gone: 'fault' | 'control-plane' | undefined;
  /** What is on it outlives its process: the volume is kept, and can be read. */
  kept = false;
  /** A learner has nothing before that time. */
  syncedAt = 0;
  /** It gets its entries a little later than the others. */
  behind = false;
  /** Writes it has applied. */
  writes = 0;
  corrupt = false;
  dbSize = 20_480;
  readonly #initially: boolean;

  constructor(etcdId: string, peerUrl: string, config: Config) {
    this.etcdId = etcdId;
    this.peerUrl = peerUrl;
    this.config = config;
    this.#initially = config.has(etcdId);
  }

  get isLearner(): boolean {
    return this.config.get(this.etcdId)?.isLearner ?? !this.#initially;
  }

  get lastTerm(): number {
    return this.log.at(-1)?.term ?? 0;
  }
}

export interface RaftWorld {
  readonly now: () => number;
  readonly after: (ms: number, what: () => void) => void;
  readonly linked: (a: Disk, b: Disk) => boolean;
  readonly random: Random;
  /** Something may look different now. */
  readonly settled: (raft: Raft) => void;
  /** It has found out that it is no member any more. */
  readonly removed: (disk: Disk) => void;
}

const votersOf = (config: Config): Listed[] => [...config.values()].filter((each) => !each.isLearner);

/** One cluster: replicated logs on disks, elections, membership changes that need a majority as any entry does. */
export class Raft {
  readonly token: string;
  readonly incarnation: number;
  readonly clusterId: string;
  readonly disks = new Map<string, Disk>();
  /** Writes that came with the snapshot it was restored from. */
  readonly base: readonly number[];
  readonly baseRevision: number;
  leader: Disk | undefined;
  nospace = false;
  corruptAlarm = false;
  inUse = 16_384;
  /** Compaction makes room. */
  garbage = false;
  downgradeTo: string | undefined;
  downgradeSince = 0;
  readonly storageVersion = new StorageVersion();
  readonly #removed = new Set<string>();
  readonly #initial: Config;
  readonly #world: RaftWorld;
  #electing = false;
  #term = 1;

  constructor(
    world: RaftWorld,
    options: {
      token: string;
      incarnation: number;
      urls: readonly string[];
      base: readonly number[];
      baseRevision: number;
    },
  ) {
    const { token, urls } = options;
    this.#world = world;
    this.token = token;
    this.incarnation = options.incarnation;
    this.base = options.base;
    this.baseRevision = options.baseRevision;
    this.clusterId = hexId(`cluster ${token} ${[...urls].sort().join()}`);
    this.#initial = new Map(
      urls.map((peerUrl) => {
        const etcdId = hexId(`${token} ${peerUrl}`);
        return [etcdId, { etcdId, peerUrl, isLearner: false }];
      }),
    );
  }

  /** An empty disk of somebody that the newest list names; undefined when it names nobody with this address. */
  add(peerUrl: string): Disk | undefined {
    const listed = [...this.newest().values()].find((each) => each.peerUrl === peerUrl);
    if (listed === undefined || this.disks.has(listed.etcdId)) return undefined;
    const disk = new Disk(listed.etcdId, peerUrl, this.#initial);
    disk.dbSize = this.inUse;
    this.disks.set(listed.etcdId, disk);
    return disk;
  }

  start(disk: Disk): void {
    disk.up = true;
    disk.opened = false;
    disk.since = this.#world.now();
    this.settle();
  }

  stop(disk: Disk): void {
    disk.up = false;
    this.settle();
  }

  destroy(disk: Disk, by: 'fault' | 'control-plane'): void {
    disk.gone ??= by;
    disk.up = false;
    this.settle();
  }

  /** The list as the furthest disk that is left has it. */
  newest(): Config {
    let [known, any]: (Disk | undefined)[] = [];
    for (const disk of this.disks.values()) {
      if (any === undefined || disk.commit > any.commit) any = disk;
      if (disk.gone === undefined && (known === undefined || disk.commit > known.commit)) known = disk;
    }
    return (known ?? any)?.config ?? this.#initial;
  }

  /** Voters of the newest list, and how many of their disks no fault has taken. */
  survival(): { voters: number; left: number } {
    const voters = votersOf(this.newest());
    const left = voters.filter(({ etcdId }) => this.disks.get(etcdId)?.gone !== 'fault').length;
    return { voters: voters.length, left };
  }

  /** Voters, and how many of their disks can still be read: of a process that runs, or of a kept volume. */
  readable(): { voters: number; left: number } {
    const voters = votersOf(this.newest());
    const left = voters.filter(({ etcdId }) => {
      const disk = this.disks.get(etcdId);
      return disk === undefined || disk.gone === undefined || disk.kept;
    }).length;
    return { voters: voters.length, left };
  }

  /** It can read with a quorum behind it. */
  linearizable(disk: Disk): boolean {
    const { leader } = this;
    // One that was just added knows nothing until the log has told it that it belongs here.
    if (leader === undefined || !disk.up || !disk.config.has(disk.etcdId)) return false;
    return leader.config.has(disk.etcdId) && this.#linked(leader, disk);
  }

  /** All that this member has applied. */
  content(disk: Disk): number[] {
    const writes = disk.log.slice(0, disk.commit).flatMap(({ write }) => write ?? []);
    return [...this.base, ...writes];
  }

  /** @returns whether it was acknowledged */
  write(via: Disk, write: number): boolean {
    if (this.nospace || this.corruptAlarm || !this.linearizable(via) || via.isLearner) return false;
    const { random } = this.#world;
    if (random.chance(0.1)) this.#lag();
    return this.#propose({ term: this.#term, write });
  }

  addLearner(via: Disk, peerUrl: string): { etcdId: string } {
    const leader = this.#quorum(via);
    const there = [...leader.config.values()].find((each) => each.peerUrl === peerUrl);
    if (there?.isLearner) return { etcdId: there.etcdId };
    if (there) throw new ControlPlaneError('peer-url-exists', 'another member has this address');
    if ([...leader.config.values()].some((each) => each.isLearner)) {
      throw new ControlPlaneError('too-many-learners', 'too many learner members in cluster');
    }
    if (this.#steady(via) < votersOf(leader.config).length) throw unhealthy();
    const etcdId = hexId(`${this.token} ${peerUrl} ${this.#world.now()}`);
    this.#change({ kind: 'add', listed: { etcdId, peerUrl, isLearner: true } });
    return { etcdId };
  }

  promote(via: Disk, etcdId: string): void {
    const leader = this.#quorum(via);
    const listed = leader.config.get(etcdId);
    if (listed === undefined) throw new ControlPlaneError('member-not-found', 'member not found');
    if (!listed.isLearner) return;
    const learner = this.disks.get(etcdId);
    const inSync = learner?.up && matched(learner, leader) >= leader.log.length * 0.9;
    if (!inSync) throw new TransientError('learner is not in sync with leader (learner-not-ready)');
    this.#change({ kind: 'promote', listed: { ...listed, isLearner: false } });
  }

  remove(via: Disk, etcdId: string): void {
    const leader = this.#quorum(via);
    const listed = leader.config.get(etcdId);
    if (listed === undefined) throw new ControlPlaneError('member-not-found', 'member not found');
    const disk = this.disks.get(etcdId);
    const active = disk?.up && this.#linked(via, disk);
    const voters = votersOf(leader.config).length;
    if (!listed.isLearner && active && this.#steady(via) - 1 < 1 + Math.floor((voters - 1) / 2)) {
      throw unhealthy();
    }
    if (!listed.isLearner && voters === 1) throw unhealthy();
    this.#change({ kind: 'remove', etcdId });
  }

  moveLeader(via: Disk, to: string): void {
    if (this.leader !== via) throw new TransientError('not leader (not-leader)');
    const next = this.disks.get(to);
    if (next === undefined || next.isLearner || !this.linearizable(next) || next.behind) {
      throw new TransientError('request timed out, leader transfer took too long (timeout)');
    }
    this.#lead(next);
  }

  /** Brings everybody to what follows from who runs and who reaches whom. */
  settle(): void {
    for (let round = 0; round < 8; round++) {
      if (!this.#leads()) {
        this.leader = undefined;
        this.#callElection();
        break;
      }
      if (!this.#replicate(this.leader!)) break;
    }
    for (const disk of this.disks.values()) {
      if (this.linearizable(disk)) disk.opened = true;
      if (disk.up && this.#removed.has(disk.etcdId) && this.#hears(disk)) {
        this.#world.after(50, () => this.#world.removed(disk));
      }
    }
    this.#world.settled(this);
  }

  #linked(a: Disk, b: Disk): boolean {
    return a === b || (a.up && b.up && this.#world.linked(a, b));
  }

  #hears(disk: Disk): boolean {
    return [...this.disks.values()].some(
      (other) => other !== disk && other.up && !other.config.has(disk.etcdId) && this.#linked(other, disk),
    );
  }

  #quorum(via: Disk): Disk {
    if (!this.linearizable(via)) throw new TransientError('request timed out (timeout)');
    return this.leader!;
  }

  /** Voters that `via` has been connected to long enough, itself included. */
  #steady(via: Disk): number {
    const long = this.#world.now() - healthIntervalMs;
    if (via.since > long) return via.config.size === 1 ? 1 : 0;
    return votersOf(via.config).filter(({ etcdId }) => {
      const disk = this.disks.get(etcdId);
      return disk?.up && disk.since <= long && this.#linked(via, disk);
    }).length;
  }

  #change(change: Change): void {
    const { log, commit } = this.leader!;
    // raft takes no second change while one is not applied.
    if (log.slice(commit).some((entry) => entry.change))
      throw new TransientError('request timed out (timeout)');
    if (!this.#propose({ term: this.#term, change })) throw new TransientError('request timed out (timeout)');
  }

  #propose(entry: Entry): boolean {
    const leader = this.leader!;
    leader.log = [...leader.log, entry];
    const index = leader.log.length;
    this.settle();
    return leader.commit >= index && leader.log[index - 1] === entry;
  }

  /** A follower that a majority can do without gets what follows a little later. */
  #lag(): void {
    const followers = [...this.disks.values()].filter((disk) => disk.up && disk !== this.leader);
    if (followers.length === 0) return;
    const slow = this.#world.random.pick(followers);
    slow.behind = true;
    this.#world.after(this.#world.random.int(100, 2_000), () => {
      slow.behind = false;
      this.settle();
    });
  }

  #reachable(from: Disk): Disk[] {
    return votersOf(from.config).flatMap(({ etcdId }) => {
      const disk = this.disks.get(etcdId);
      return disk?.up && this.#linked(from, disk) ? [disk] : [];
    });
  }

  #leads(): boolean {
    const { leader } = this;
    if (!leader?.up || leader.config.get(leader.etcdId)?.isLearner !== false) return false;
    return this.#reachable(leader).length >= quorumOf(votersOf(leader.config).length);
  }

  #replicate(leader: Disk): boolean {
    const before = leader.commit;
    const receivers: Disk[] = [];
    for (const { etcdId } of leader.config.values()) {
      const disk = this.disks.get(etcdId);
      if (!disk?.up || disk === leader || !this.#linked(leader, disk)) continue;
      if (disk.syncedAt > this.#world.now() || disk.behind) continue;
      disk.log = leader.log;
      disk.term = leader.term;
      receivers.push(disk);
    }
    const matches = votersOf(leader.config)
      .map(({ etcdId }) => {
        const disk = this.disks.get(etcdId);
        return disk === undefined || disk.gone !== undefined ? 0 : matched(disk, leader);
      })
      .sort((a, b) => b - a);
    const index = matches[quorumOf(matches.length) - 1] ?? 0;
    if (index > leader.commit && leader.log[index - 1]!.term === leader.term) this.#apply(leader, index);
    for (const disk of receivers) this.#apply(disk, leader.commit);
    return leader.commit > before;
  }

  #apply(disk: Disk, commit: number): void {
    if (commit <= disk.commit) return;
    let config: Map<string, Listed> | undefined;
    for (let index = disk.commit; index < commit; index++) {
      const { change, write } = disk.log[index]!;
      if (write !== undefined) disk.writes += 1;
      if (change === undefined) continue;
      config ??= new Map(disk.config);
      if (change.kind === 'remove') {
        config.delete(change.etcdId);
        this.#removed.add(change.etcdId);
      } else config.set(change.listed.etcdId, change.listed);
    }
    disk.commit = commit;
    if (config !== undefined) disk.config = config;
  }

  #callElection(): void {
    if (this.#electing) return;
    this.#electing = true;
    this.#world.after(this.#world.random.int(900, 2_100), () => {
      this.#electing = false;
      if (this.#leads()) return;
      const able = [...this.disks.values()].filter((disk) => this.#electable(disk));
      if (able.length > 0) this.#lead(this.#world.random.pick(able));
    });
  }

  #electable(disk: Disk): boolean {
    if (!disk.up || disk.config.get(disk.etcdId)?.isLearner !== false) return false;
    const votes = this.#reachable(disk).filter(
      (voter) =>
        voter.lastTerm < disk.lastTerm ||
        (voter.lastTerm === disk.lastTerm && voter.log.length <= disk.log.length),
    );
    return votes.length >= quorumOf(votersOf(disk.config).length);
  }

  #lead(disk: Disk): void {
    this.leader = disk;
    this.#term += 1;
    disk.term = this.#term;
    disk.log = [...disk.log, { term: this.#term }];
    this.settle();
  }
}

/** How much of the leader's log it has: two logs that have the same entry have the same before it. */
function matched(disk: Disk, leader: Disk): number {
  if (disk.log === leader.log) return leader.log.length;
  let at = Math.min(disk.log.length, leader.log.length);
  while (at > 0 && disk.log[at - 1] !== leader.log[at - 1]) at--;
  return at;
}

const unhealthy = () => new TransientError('etcdserver: unhealthy cluster (unhealthy-cluster)');
