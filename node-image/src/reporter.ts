import type { Log } from '../../lambdas/core/ports.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import type { JoinClient } from './join-client.ts';
import { sentence } from './log.ts';
import { backOffMs, type Timing } from './timing.ts';

const backOff = { firstMs: 500, maxMs: 15_000 };

/** What makes a status worth a report: everything but figures that move all the time. */
export function reportKey(status: NannyStatus): string {
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
    certificates?.notAfter,
  ]);
}

/** Tells the control plane of changes: always the newest status, again and again until it got through. */
export class Reporter {
  readonly #client: JoinClient;
  readonly #options: { log: Log; timing: Timing; onLeave: (reason: string) => void };
  readonly #stopping = new AbortController();
  #newest: NannyStatus | undefined;
  #toldKey: string | undefined;
  #wake: () => void = () => undefined;

  constructor(client: JoinClient, options: { log: Log; timing: Timing; onLeave: (reason: string) => void }) {
    this.#client = client;
    this.#options = options;
  }

  offer(status: NannyStatus): void {
    this.#newest = status;
    if (reportKey(status) !== this.#toldKey) this.#wake();
  }

  async run(): Promise<void> {
    const { log, timing, onLeave } = this.#options;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      const status = this.#newest;
      if (status === undefined || reportKey(status) === this.#toldKey) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      try {
        const { tenantId, memberName } = status;
        const answer = await this.#client.report({ tenantId, memberName, status });
        this.#toldKey = reportKey(status);
        failures = 0;
        if (answer.leave) onLeave(answer.reason ?? 'the control plane does not want this member any more');
      } catch (error) {
        if (failures === 0) log.warn(`A report did not get through: ${sentence(error)}`);
        await timing.sleep(backOffMs(failures, timing, backOff), this.#stopping.signal);
        failures += 1;
      }
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }
}
