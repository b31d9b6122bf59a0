import { ulidMs } from '../../../lambdas/core/ulid.ts';
import type { BackupOrder, NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import { sentence } from '../log.ts';
import { type Chain, type ChainDeps, ChainRun } from './chain-run.ts';

export interface ShipperOptions extends Omit<ChainDeps, 'save'> {
  readonly saved: () => Chain | undefined;
  /** @throws when it is not on the disk */
  readonly save: (chain: Chain | undefined) => Promise<void>;
}

/** ECS gives a task 30 s to end, and etcd is to be stopped after this. */
const endMs = 4_000;

/** Ships the change stream while this nanny is the backup holder (`POST /v1/backup`), over its own restarts. */
export class Shipper {
  readonly #options: ShipperOptions;
  #run: ChainRun | undefined;
  #stopped = false;

  constructor(options: ShipperOptions) {
    this.#options = options;
  }

  get view(): NannyStatus['backup'] {
    if (this.#run === undefined) return undefined;
    const { chain, shippedRevision, upToDateAt, broken } = this.#run.chain;
    const { pending, problem } = this.#run;
    return {
      chain,
      shippedRevision,
      upToDateAt,
      pending,
      ...(problem !== undefined && { problem }),
      ...(broken !== undefined && { broken }),
    };
  }

  /** Goes on with what was ordered before the nanny was restarted. */
  resume(): void {
    const saved = this.#options.saved();
    if (saved !== undefined) this.#start(saved);
  }

  /** The same again changes nothing. On the disk before it begins. */
  async order(order: BackupOrder): Promise<void> {
    const { saved, save, log } = this.#options;
    const before = saved();
    if (order.ship && before !== undefined && isSame(order, before)) return;
    await this.#end();
    if (!order.ship) return await save(undefined);
    const { ship, ...wanted } = order;
    const chain: Chain = {
      ...wanted,
      shippedRevision: order.afterRevision,
      upToDateAt: startOf(order.chain).toISOString(),
    };
    await save(chain);
    log.info('Shipping the change stream', { ...wanted });
    this.#start(chain);
  }

  /** What has been seen is shipped first, if that takes no longer than a few seconds. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end();
  }

  #start(chain: Chain): void {
    if (this.#stopped) return;
    const run: ChainRun = new ChainRun(chain, {
      ...this.#options,
      save: async (next) => {
        // A run that was ended must not write over its successor's.
        if (this.#run === run) await this.#options.save(next);
      },
    });
    this.#run = run;
    run.done.catch((error) => this.#options.log.error(`Shipping ended by a fault: ${sentence(error)}`));
  }

  async #end(): Promise<void> {
    await this.#run?.end(endMs);
    this.#run = undefined;
  }
}

/** A full backup's id tells when it was begun: until more is known, nothing younger is surely in S3. */
const startOf = (chain: string): Date => new Date(ulidMs(chain));

const isSame = (
  order: Extract<BackupOrder, { ship: true }>,
  { chain, bucket, prefix, afterRevision }: Chain,
) =>
  order.chain === chain &&
  order.bucket === bucket &&
  order.prefix === prefix &&
  order.afterRevision === afterRevision;
