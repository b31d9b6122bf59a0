import type { Clock, StorageAccess, StorageGrant } from '../../lambdas/core/ports.ts';
import type { StorageAnswer } from '../../lambdas/core/wire/work.ts';

/** Lends names of credentials, and keeps what was asked for. */
export class FakeStorageAccess implements StorageAccess {
  readonly lent: Omit<StorageGrant, 'cell'>[] = [];
  readonly #clock: Pick<Clock, 'now'>;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  async lend({ cell: _, ...grant }: StorageGrant): Promise<StorageAnswer> {
    this.lent.push(grant);
    return {
      accessKeyId: `ASIA-${grant.borrower}-${this.lent.length}`,
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiration: new Date(this.#clock.now().getTime() + 3_600_000).toISOString(),
    };
  }
}
