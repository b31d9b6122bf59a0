import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import type { Observation } from './observer.ts';

/** What was seen of etcd just now. */
export type StatusSeen = Observation & Pick<NannyStatus, 'latency' | 'load' | 'authRevision' | 'readProblem'>;

export interface StatusParts {
  readonly tenantId: string;
  readonly memberName: string;
  readonly incarnation: () => number;
  readonly etcd: () => NannyStatus['etcd'];
  readonly observe: (viewMaxAgeMs: number) => Promise<StatusSeen>;
  readonly certificates: () => NonNullable<NannyStatus['certificates']>;
  readonly disk: () => Promise<NonNullable<NannyStatus['disk']>>;
  readonly backup: () => NannyStatus['backup'];
  readonly now: () => Date;
}

/** However many callers ask at once, and how often: the members are asked about twice a second at most. */
const keptMs = 500;
/** How often a follower looks at the other members; the leader does so each second. */
const followerViewMs = 5_000;

/** This nanny's status, put together at most every half second. */
export class StatusSource {
  readonly #parts: StatusParts;
  #kept: { status: NannyStatus; at: number } | undefined;
  #underWay: Promise<NannyStatus> | undefined;

  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  /** For callers of the admin API: own status and view are at most about half a second old. */
  async current(): Promise<NannyStatus> {
    if (this.#kept && this.#parts.now().getTime() - this.#kept.at < keptMs) return this.#kept.status;
    this.#underWay ??= this.#make(0).finally(() => {
      this.#underWay = undefined;
    });
    return await this.#underWay;
  }

  /** For the watch loop: a follower leaves looking at the others to the leader, mostly. */
  async watched(): Promise<NannyStatus> {
    const last = this.#kept?.status.self;
    const follows = last !== undefined && last.leader !== '0' && last.leader !== last.etcdId;
    const status = await this.#make(follows ? followerViewMs : 0);
    if (follows && status.self?.leader !== last.leader) return await this.#make(0);
    return status;
  }

  /** The next caller gets a new one: after a change through us. */
  forget(): void {
    this.#kept = undefined;
  }

  async #make(viewMaxAgeMs: number): Promise<NannyStatus> {
    const { tenantId, memberName, incarnation, etcd, observe, certificates, disk, backup, now } = this.#parts;
    const [seen, space] = await Promise.all([observe(viewMaxAgeMs), disk().catch(() => undefined)]);
    const at = now();
    const shipping = backup();
    const status: NannyStatus = {
      at: at.toISOString(),
      tenantId,
      memberName,
      incarnation: incarnation(),
      etcd: etcd(),
      ...seen,
      certificates: certificates(),
      ...(space && { disk: space }),
      ...(shipping && { backup: shipping }),
    };
    if (viewMaxAgeMs === 0) this.#kept = { status, at: at.getTime() };
    return status;
  }
}
