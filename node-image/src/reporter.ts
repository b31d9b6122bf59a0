import type { Log } from '../../lambdas/core/ports.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import type { JoinClient } from './join-client.ts';
import { sentence } from './log.ts';
import { backOffMs, type Timing } from './timing.ts';

const backOff = { firstMs: 500, maxMs: 15_000 };

/** So many reports at once, then one each `tokenMs`: a cluster that flaps must not drown the control plane. */
const burst = 20;
const tokenMs = 3_000;

/**
 * What makes a status worth a report: everything but figures that move all the time; of those the signals, which are
 * on or off.
 */
export function reportKey(status: NannyStatus, signals: readonly string[] = []): string {
  const members = (status.view?.members ?? []).map((member) => [
    member.etcdId,
    member.name,
    member.isLearner,
    member.reachable,
    member.peerUrls,
    member.clientUrls,
  ]);
  const { etcd, self, alarms, certificates } = status;
  return JSON.stringify([
    etcd.state,
    etcd.restarts,
    etcd.lastExit?.at,
    self && [self.leader, self.isLearner, self.version, self.clusterId, self.storageVersion],
    alarms.map(({ etcdId, alarm }) => `${etcdId} ${alarm}`).sort(),
    status.view?.clusterId,
    members.map((member) => JSON.stringify(member)).sort(),
    certificates && [certificates.notAfter, certificates.issuer, certificates.trusted],
    // Not how far it is: that moves with each segment.
    status.backup && [status.backup.chain, status.backup.problem !== undefined, status.backup.broken],
    status.downgrade && [status.downgrade.enabled, status.downgrade.targetVersion],
    signals,
  ]);
}

/** Tells the control plane of changes: always the newest status, again and again until it got through. */
export class Reporter {
  readonly #client: JoinClient;
  readonly #options: { log: Log; timing: Timing; onLeave: (reason: string) => void };
  readonly #stopping = new AbortController();
  #newest: { status: NannyStatus; key: string } | undefined;
  #tokens = burst;
  #tokensAt = 0;
  #toldKey: string | undefined;
  #wake: () => void = () => undefined;

  constructor(client: JoinClient, options: { log: Log; timing: Timing; onLeave: (reason: string) => void }) {
    this.#client = client;
    this.#options = options;
  }

  offer(status: NannyStatus, signals: readonly string[] = []): void {
    const key = reportKey(status, signals);
    this.#newest = { status, key };
    if (key !== this.#toldKey) this.#wake();
  }

  async run(): Promise<void> {
    const { log, timing, onLeave } = this.#options;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      const newest = this.#newest;
      if (newest === undefined || newest.key === this.#toldKey) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const waitMs = this.#untilToken();
      if (waitMs > 0) {
        await timing.sleep(waitMs, this.#stopping.signal);
        continue;
      }
      const { status, key } = newest;
      try {
        const { tenantId, memberName } = status;
        const answer = await this.#client.report({ tenantId, memberName, status });
        this.#toldKey = key;
        this.#tokens -= 1;
        failures = 0;
        if (answer.leave) onLeave(answer.reason ?? 'the control plane does not want this member any more');
      } catch (error) {
        if (failures === 0) log.warn(`A report did not get through: ${sentence(error)}`);
        await timing.sleep(backOffMs(failures, timing, backOff), this.#stopping.signal);
        failures += 1;
      }
    }
  }

  /** 0 when a report may be sent now. */
  #untilToken(): number {
    const now = this.#options.timing.now().getTime();
    const gained = Math.floor((now - this.#tokensAt) / tokenMs);
    if (gained > 0) {
      this.#tokens = Math.min(burst, this.#tokens + gained);
      this.#tokensAt = this.#tokens === burst ? now : this.#tokensAt + gained * tokenMs;
    }
    return this.#tokens > 0 ? 0 : tokenMs - (now - this.#tokensAt);
  }

  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }
}
