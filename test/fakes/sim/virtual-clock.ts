import type { Clock } from '../../../lambdas/core/ports.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Time that moves only when nothing is left to do now. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #timers: Timer[] = [];

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
    this.#timers.push({ at: this.#now + ms, order: this.#order++, fire });
  }

  /** Jumps to the next timer and fires it; false when there is none before `limit` (ms since the epoch). */
  async step(limit: number): Promise<boolean> {
    // Everything the fakes do resolves in microtasks: one turn of the event loop settles it all.
    await new Promise(setImmediate);
    this.#timers.sort((a, b) => a.at - b.at || a.order - b.order);
    const next = this.#timers[0];
    if (next === undefined || next.at > limit) return false;
    this.#timers.shift();
    this.#now = Math.max(this.#now, next.at);
    next.fire();
    await new Promise(setImmediate);
    return true;
  }
}
