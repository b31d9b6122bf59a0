import type { Log } from '../../../lambdas/core/ports.ts';
import type { WorkProgress } from '../../../lambdas/core/wire/work.ts';
import type { JoinClient } from '../join-client.ts';
import { sentence } from '../log.ts';
import { backOffMs, type Timing } from '../timing.ts';

const eachMs = 1_500;
const backOff = { firstMs: 500, maxMs: 10_000 };

export interface ReportingOptions {
  readonly who: { readonly tenantId: string; readonly memberName: string };
  readonly orderId: string;
  readonly client: Pick<JoinClient, 'work'>;
  readonly log: Log;
  readonly timing: Timing;
}

/** Tells the control plane how far the work is: always the newest, each new phase at once. */
export class WorkReporting {
  readonly #options: ReportingOptions;
  #newest: WorkProgress | undefined;
  #phase = '';
  #wake = new AbortController();

  constructor(options: ReportingOptions) {
    this.#options = options;
  }

  offer(progress: Extract<WorkProgress, { state: 'running' }>): void {
    this.#newest = progress;
    if (progress.phase === this.#phase) return;
    this.#phase = progress.phase;
    this.#wake.abort();
  }

  /** While the work is under way. Resolves with true when it is not wanted any more, with false when aborted. */
  async run(signal: AbortSignal): Promise<boolean> {
    const { log, timing } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const progress = this.#newest;
      try {
        if (progress !== undefined && (await this.#tell(progress))) return true;
        failures = 0;
      } catch (error) {
        if (failures === 0) log.warn(`The progress did not get through: ${sentence(error)}`);
        failures += 1;
      }
      const waitMs = failures > 0 ? backOffMs(failures, timing, backOff) : eachMs;
      await timing.sleep(waitMs, AbortSignal.any([signal, this.#wake.signal]));
    }
    return false;
  }

  /** Again and again until it is answered with `leave`, or we are told to stop. */
  async finish(progress: WorkProgress, signal: AbortSignal): Promise<void> {
    const { log, timing } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        if (await this.#tell(progress)) return;
      } catch (error) {
        log.warn(`The end of the work did not get through: ${sentence(error)}`);
      }
      await timing.sleep(backOffMs(attempt, timing, backOff), signal);
    }
  }

  async #tell(progress: WorkProgress): Promise<boolean> {
    const { client, who, orderId } = this.#options;
    const { leave } = await client.work({ ...who, orderId, progress });
    return leave;
  }
}
