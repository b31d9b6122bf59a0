import { TransientError } from '../../lambdas/core/errors.ts';
import { CrashError } from '../fakes/sim/crash.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import { type Random, randomOf } from './random.ts';
import type { Fault, Timed } from './script.ts';

type Kind = Fault['kind'];
export type FaultOf<K extends Kind> = Timed<Extract<Fault, { kind: K }>>;

/** The faults that are on now, and what they do to the calls of functions. */
export class Weather {
  readonly #on = new Map<number, { fault: Timed<Fault>; random: Random }>();
  readonly #clock: VirtualClock;
  readonly #seed: number;
  /** Ordinary calls take their time too: looks overlap. */
  readonly #calm: Random;
  quiet = false;

  constructor(clock: VirtualClock, seed: number) {
    this.#clock = clock;
    this.#seed = seed;
    this.#calm = randomOf(seed, 'calls');
  }

  begin(fault: Timed<Fault>): void {
    this.#on.set(fault.id, { fault, random: randomOf(this.#seed, `fault ${fault.id}`) });
  }

  end(fault: Timed<Fault>): void {
    this.#on.delete(fault.id);
  }

  on<K extends Kind>(kind: K): { fault: FaultOf<K>; random: Random }[] {
    if (this.#on.size === 0) return [];
    return [...this.#on.values()].filter((each) => each.fault.kind === kind) as unknown as {
      fault: FaultOf<K>;
      random: Random;
    }[];
  }

  /** The ports as one invocation of a function has them. */
  invocation<T extends Record<string, object>>(ports: T): T {
    const process = { dead: false };
    const jumpMs = this.on('clock').reduce((sum, { fault }) => sum + fault.jumpMs, 0);
    const wrapped = Object.entries(ports).map(([port, target]) => [
      port,
      new Proxy(target, {
        get: (object, method: string) => {
          const member = Reflect.get(object, method) as unknown;
          if (typeof member !== 'function') return member;
          if (port === 'clock') return this.#time(process, method, jumpMs);
          if (port === 'ids' || port === 'log' || method === 'fingerprint') return member.bind(object);
          return (...args: unknown[]) => this.#call(process, () => member.apply(object, args));
        },
      }),
    ]);
    return Object.fromEntries(wrapped) as T;
  }

  /** Each function's host has its own idea of the time. */
  #time(process: { dead: boolean }, method: string, jumpMs: number) {
    if (method === 'now') return () => new Date(this.#clock.now().getTime() + jumpMs);
    return async (ms: number) => {
      if (process.dead) throw new CrashError('dead');
      await this.#clock.sleep(ms);
      if (process.dead) throw new CrashError('dead');
    };
  }

  async #call(process: { dead: boolean }, run: () => unknown): Promise<unknown> {
    if (process.dead) throw new CrashError('dead');
    const [crash, after] = this.#whether('crashes');
    if (crash && !after) this.#die(process);
    const [throttled, late] = this.#whether('throttling');
    if (throttled && !late) throw new TransientError('Rate exceeded');
    const ms = this.#slowness();
    if (ms > 0) {
      await this.#clock.sleep(ms);
      if (process.dead) throw new CrashError('dead');
    }
    const result = await run();
    if (crash) this.#die(process);
    // It was done, and its answer did not come.
    if (throttled) throw new TransientError('socket hang up');
    if (process.dead) throw new CrashError('dead');
    return result;
  }

  #whether(kind: 'crashes' | 'throttling'): [boolean, boolean] {
    for (const { fault, random } of this.on(kind)) {
      if (random.chance(fault.share)) return [true, random.chance(0.5)];
    }
    return [false, false];
  }

  #slowness(): number {
    let ms = this.#calm.chance(0.1) ? this.#calm.int(1, 40) : 0;
    for (const { fault, random } of this.on('slow-calls')) {
      if (random.chance(fault.share)) ms += random.int(1, fault.ms);
    }
    return ms;
  }

  #die(process: { dead: boolean }): never {
    process.dead = true;
    throw new CrashError('the process dies here');
  }
}
