import type { Dispatcher, Duty } from '../../lambdas/core/ports.ts';

/** Remembers what it was asked to send; nothing is delivered. */
export class FakeDispatcher implements Dispatcher {
  /** Looks at the fleet patch that were asked for. */
  fleet = 0;
  readonly sent: { tenantId: string; duty: Duty; delaySeconds: number }[] = [];

  async look(tenantId: string, duty: Duty, delaySeconds = 0): Promise<void> {
    if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900) {
      throw new RangeError(`delaySeconds must be a whole number from 0 to 900, is ${delaySeconds}`);
    }
    this.sent.push({ tenantId, duty, delaySeconds });
  }

  async lookAtFleet(): Promise<void> {
    this.fleet += 1;
  }
}
