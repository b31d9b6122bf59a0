import type { Log } from '../../lambdas/core/ports.ts';
import { createLeafKeys } from './csr.ts';
import type { JoinClient } from './join-client.ts';
import { sentence } from './log.ts';
import type { Identity, PkiStore } from './pki-store.ts';
import { backOffMs, type Timing } from './timing.ts';

const backOff = { firstMs: 1_000, maxMs: 10 * 60_000 };
/** Longest sleep: the clock of a task may be set, and setTimeout cannot wait 25 days. */
const longestSleepMs = 60 * 60_000;

export interface RenewalOptions {
  readonly renew: () => Promise<Identity>;
  readonly identity: () => Identity;
  /** Aborted when the certificates in force have changed by other means: then it is time to look again. */
  readonly changed: () => AbortSignal;
  readonly log: Log;
  readonly timing: Timing;
}

/** Two thirds of the life are over. */
export function renewalDue(identity: Pick<Identity, 'notBefore' | 'notAfter'>): Date {
  const from = identity.notBefore.getTime();
  return new Date(from + ((identity.notAfter.getTime() - from) * 2) / 3);
}

/** New keys, and certificates for them from the control plane. */
export async function renewOnce(options: {
  readonly who: { readonly tenantId: string; readonly memberName: string };
  readonly client: JoinClient;
  readonly pki: PkiStore;
  readonly timing: Timing;
}): Promise<Identity> {
  const { who, client, pki, timing } = options;
  const { keys, csrs } = createLeafKeys(who.memberName);
  const issued = await client.renew({ ...who, csrs });
  return await pki.install(issued, keys, generation(timing));
}

/** New keys and certificates at two thirds of their life, for as long as the nanny runs. */
export async function keepRenewing(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  const { renew, identity, changed, log, timing } = options;
  let failures = 0;
  while (!signal.aborted) {
    const waitMs = renewalDue(identity()).getTime() - timing.now().getTime();
    if (waitMs > 0) {
      await timing.sleep(Math.min(waitMs, longestSleepMs), AbortSignal.any([signal, changed()]));
      continue;
    }
    try {
      const next = await renew();
      failures = 0;
      log.info('Certificates renewed', { notAfter: next.notAfter.toISOString() });
      // Certificates that are due again at once would otherwise be asked for in a tight loop.
      await timing.sleep(backOff.firstMs, signal);
    } catch (error) {
      log.warn(`Certificates could not be renewed: ${sentence(error)}`, {
        notAfter: identity().notAfter.toISOString(),
      });
      await timing.sleep(backOffMs(failures, timing, backOff), signal);
      failures += 1;
    }
  }
}

/** Name of a directory of certificates: new for each renewal. */
export function generation(timing: Timing): string {
  const chance = Math.floor(timing.random() * 0x1000000).toString(16);
  return `${timing.now().getTime().toString(36)}-${chance}`;
}
