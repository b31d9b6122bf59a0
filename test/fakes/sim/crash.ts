/** The function's process is gone: nothing it still meant to do happens. */
export class CrashError extends Error {}

export interface PortCall {
  readonly invocation: number;
  readonly port: string;
  readonly method: string;
}

/** When a process dies: at its n-th port call counted over all invocations of the watched function. */
export interface CrashPoint {
  readonly call: number;
  readonly when: 'before' | 'after';
}

/**
 * Stands between a function and its ports: writes down every call and kills the process at the wanted one. A dead
 * process's later calls fail too, so no `catch` or `finally` can undo the crash.
 */
export class CrashingPorts {
  readonly calls: PortCall[] = [];
  #point: CrashPoint | undefined;
  crashed = false;
  /** Told before each call, with its number. */
  onCall: (number: number) => void = () => undefined;
  #invocations = 0;

  constructor(point?: CrashPoint) {
    this.#point = point;
  }

  /** What was called before counts no more. */
  arm(point: CrashPoint): void {
    this.calls.length = 0;
    this.#point = point;
  }

  /** The ports for one invocation. */
  invocation<T extends Record<string, object>>(ports: T): T {
    const invocation = ++this.#invocations;
    const process = { dead: false };
    const wrapped = Object.entries(ports).map(([port, target]) => [
      port,
      new Proxy(target, {
        get: (object, method: string) => {
          const member = Reflect.get(object, method) as unknown;
          if (typeof member !== 'function') return member;
          // Arithmetic.
          if (method === 'fingerprint') return member.bind(object);
          // Time and ids are not calls to the outside; but a dead process does not wake up again.
          if (port === 'clock' || port === 'ids' || port === 'log') {
            return (...args: unknown[]) => {
              if (process.dead && method === 'sleep') throw new CrashError('dead');
              return member.apply(object, args);
            };
          }
          return (...args: unknown[]) =>
            this.#call(process, { invocation, port, method }, member.bind(object, ...args));
        },
      }),
    ]);
    return Object.fromEntries(wrapped) as T;
  }

  async #call(process: { dead: boolean }, call: PortCall, run: () => unknown): Promise<unknown> {
    if (process.dead) throw new CrashError('dead');
    const number = this.calls.push(call);
    this.onCall(number);
    const here = this.#point?.call === number;
    if (here && this.#point?.when === 'before') this.#die(process);
    const outcome = await Promise.resolve()
      .then(run)
      .then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
    if (here) this.#die(process);
    if (process.dead) throw new CrashError('dead');
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  #die(process: { dead: boolean }): never {
    process.dead = true;
    this.crashed = true;
    throw new CrashError('the process dies here');
  }
}
