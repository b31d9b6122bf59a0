import type { Clock } from '../../../lambdas/core/ports.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Immediates that are queued at once, see `run`. */
const batch = 128;

/** Time that moves only when nothing is left to do now. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap: the next one first. */
  readonly #timers: Timer[] = [];

  constructor(start = Date.parse('2026-01-01T00:00:00Z')) {
    this.#now = start;
  }

  now(): Date {
    return new Date(this.#now);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(ms, resolve));
  }

  /** Fires once, `ms` from now. */
  at(ms: number, fire: () => void): void {
    const timers = this.#timers;
    const timer = { at: this.#now + ms, order: this.#order++, fire };
    let at = timers.push(timer) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!before(timer, timers[above]!)) break;
      timers[at] = timers[above]!;
      at = above;
    }
    timers[at] = timer;
  }

  /** Jumps to the next timer and fires it; false when there is none before `limit` (ms since the epoch). */
  async step(limit: number): Promise<boolean> {
    // Everything the fakes do resolves in microtasks: one turn of the event loop settles it all.
    await new Promise(setImmediate);
    if (!this.#fire(limit)) return false;
    await new Promise(setImmediate);
    return true;
  }

  /**
   * Fires one timer after the other up to `limit` (ms since the epoch) as long as `goOn`, asked whenever everything has
   * settled, says so. @returns whether it ended because `goOn` said no
   */
  run(limit: number, goOn: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let ended = false;
      const turn = (): void => {
        if (ended) return;
        try {
          const enough = !goOn();
          if (!enough && this.#fire(limit)) return;
          ended = true;
          resolve(enough);
        } catch (error) {
          ended = true;
          reject(error);
        }
      };
      // Node empties the queue of microtasks between two immediates. Those that are queued together cost no turn of the
      // event loop each, which would be a good part of what thousands of histories cost.
      const queue = (): void => {
        for (let n = 1; n < batch; n++) setImmediate(turn);
        setImmediate(() => {
          turn();
          if (!ended) queue();
        });
      };
      queue();
    });
  }

  /** Jumps to the next timer, if it comes before `limit`. */
  #fire(limit: number): boolean {
    const next = this.#timers[0];
    if (next === undefined || next.at > limit) return false;
    this.#shift();
    this.#now = Math.max(this.#now, next.at);
    next.fire();
    return true;
  }

  #shift(): void {
    const timers = this.#timers;
    const moved = timers.pop()!;
    if (timers.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= timers.length) break;
      if (below + 1 < timers.length && before(timers[below + 1]!, timers[below]!)) below += 1;
      if (!before(timers[below]!, moved)) break;
      timers[at] = timers[below]!;
      at = below;
    }
    timers[at] = moved;
  }
}

const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
