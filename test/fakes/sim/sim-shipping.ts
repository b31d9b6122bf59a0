import type { BackupOrder, NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import type { SimBucket } from './sim-bucket.ts';

const never = new Date(0).toISOString();

/** What nannies ship of the change stream: everything, as soon as they are asked how far they are. */
export class SimShipping {
  /** What each nanny was last told. */
  readonly orders = new Map<string, BackupOrder>();
  /** Nannies whose shipping does not get on, and why. */
  readonly stuck = new Map<string, string>();
  /** Chains that cannot be continued. */
  readonly broken = new Set<string>();
  readonly #upToDateAt = new Map<string, string>();
  readonly #bucket: SimBucket;

  constructor(bucket: SimBucket) {
    this.#bucket = bucket;
  }

  statusOf(memberName: string, index: number, now: Date): Pick<NannyStatus, 'backup'> {
    const order = this.orders.get(memberName);
    if (!order?.ship) return {};
    const { chain, prefix, afterRevision } = order;
    const before = Math.max(afterRevision, this.#bucket.deltas.get(prefix) ?? 0);
    const problem = this.stuck.get(memberName);
    const broken = this.broken.has(chain);
    const held = broken || problem !== undefined;
    const shippedRevision = held ? before : Math.max(before, index);
    this.#bucket.deltas.set(prefix, shippedRevision);
    const upToDateAt = problem === undefined ? now.toISOString() : (this.#upToDateAt.get(chain) ?? never);
    this.#upToDateAt.set(chain, upToDateAt);
    return {
      backup: {
        chain,
        shippedRevision,
        upToDateAt,
        pending: held ? 1 : 0,
        ...(problem !== undefined && { problem }),
        ...(broken && { broken: 'compacted' }),
      },
    };
  }
}
