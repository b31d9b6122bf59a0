import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { TemporaryCredentials } from '../../aws/service.ts';
import type { WorkerHandle } from '../../iam/credentials.ts';
import type { BootData } from './bootstrap.ts';
import { FunctionWorker, type InvokeResult } from './worker.ts';

export interface FunctionConfig {
  readonly name: string;
  readonly arn: string;
  readonly boot: BootData;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  readonly reservedConcurrency?: number;
  readonly logGroup: string;
  /** The variables of the template and what Lambda adds, without credentials. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface FunctionDeps {
  /** Fresh credentials of the function's role, bound to one worker. */
  readonly credentials: (handle: WorkerHandle) => TemporaryCredentials;
  readonly revoke: (accessKeyId: string) => void;
  readonly onLine: (line: string, requestId: string | undefined) => void;
  /** An invocation has ended. */
  readonly onEnd?: (ok: boolean) => void;
}

/** Told when reserved concurrency is used up; the caller tries again, as AWS does. */
export class ThrottledError extends Error {}

/** Without reserved concurrency a function gets this many workers; more invocations wait. */
const defaultConcurrency = 10;
/**
 * At AWS each worker starts on cores of its own. Here they share a few: more that start at once would only hold each
 * other up, until they exceed the time that Lambda gives them. Who comes meanwhile takes the first worker that is free.
 */
const startsAtOnce = availableParallelism();
const idleMs = 60_000;
/** Workers are renewed long before their credentials end. */
const workerLifeMs = 6 * 3_600_000;

interface Slot {
  readonly worker: FunctionWorker;
  readonly bornAt: number;
  readonly accessKeyId: string;
  requestId: string | undefined;
  /** What the invocation under way was given, as JSON. */
  event?: string;
  idleTimer?: NodeJS.Timeout;
}

/** A function with its workers. */
export class LocalFunction {
  readonly config: FunctionConfig;
  readonly #deps: FunctionDeps;
  readonly #slots = new Set<Slot>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #starting = 0;
  #stopped = false;

  constructor(config: FunctionConfig, deps: FunctionDeps) {
    this.config = config;
    this.#deps = deps;
  }

  get concurrency(): number {
    return this.config.reservedConcurrency ?? defaultConcurrency;
  }

  /** @throws ThrottledError when reserved concurrency is used up */
  async invoke(event: unknown): Promise<InvokeResult> {
    while (!this.#stopped && !this.#hasRoom()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#stopped) throw new ThrottledError('The local cloud stops.');
    this.#running += 1;
    const slot = this.#takeSlot();
    try {
      slot.requestId = randomUUID();
      slot.event = JSON.stringify(event);
      const { name, arn, memoryMiB, logGroup, timeoutMs } = this.config;
      const context = {
        functionName: name,
        functionVersion: '$LATEST',
        invokedFunctionArn: arn,
        memoryLimitInMB: String(memoryMiB),
        awsRequestId: slot.requestId,
        logGroupName: logGroup,
        logStreamName: 'local',
        callbackWaitsForEmptyEventLoop: true,
      };
      const result = await slot.worker.invoke({ event, context, deadline: 0 }, timeoutMs);
      this.#deps.onEnd?.(result.ok);
      if (!result.ok) {
        const line = { level: 'ERROR', type: 'platform.report', requestId: slot.requestId, ...result.error };
        this.#deps.onLine(JSON.stringify(line), slot.requestId);
      }
      return result;
    } finally {
      slot.requestId = undefined;
      slot.event = undefined;
      this.#running -= 1;
      this.#rest(slot);
      this.#waiting.shift()?.();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.all([...this.#slots].map((slot) => slot.worker.terminate()));
  }

  /** @throws ThrottledError when reserved concurrency is used up */
  #hasRoom(): boolean {
    if (this.#running < this.concurrency) return this.#starting < startsAtOnce || this.#free() !== undefined;
    if (this.config.reservedConcurrency !== undefined) throw new ThrottledError('Rate Exceeded.');
    return false;
  }

  #free(): Slot | undefined {
    return [...this.#slots].find((slot) => slot.requestId === undefined && !slot.worker.ended);
  }

  #takeSlot(): Slot {
    const free = this.#free();
    if (free) {
      clearTimeout(free.idleTimer);
      return free;
    }
    let slot: Slot | undefined;
    let worker: FunctionWorker | undefined;
    const credentials = this.#deps.credentials({
      functionName: this.config.name,
      invocation: () => slot?.requestId,
      event: () => slot?.event,
      crash: () => worker?.crash(),
    });
    worker = new FunctionWorker({
      boot: this.config.boot,
      environment: {
        ...this.config.environment,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_SESSION_TOKEN: credentials.sessionToken,
      },
      memoryMiB: this.config.memoryMiB,
      onLine: (line) => this.#deps.onLine(line, slot?.requestId),
      onEnd: () => {
        if (!slot) return;
        this.#slots.delete(slot);
        clearTimeout(slot.idleTimer);
        this.#deps.revoke(credentials.accessKeyId);
      },
    });
    slot = { worker, bornAt: Date.now(), accessKeyId: credentials.accessKeyId, requestId: 'starting' };
    this.#slots.add(slot);
    this.#starting += 1;
    void worker.started.then(() => {
      this.#starting -= 1;
      this.#waiting.shift()?.();
    });
    return slot;
  }

  #rest(slot: Slot): void {
    if (slot.worker.ended) {
      this.#slots.delete(slot);
      return;
    }
    const end = (): void => void slot.worker.terminate();
    if (Date.now() - slot.bornAt > workerLifeMs) end();
    else slot.idleTimer = setTimeout(end, idleMs).unref();
  }
}
