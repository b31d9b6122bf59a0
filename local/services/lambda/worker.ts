import { Worker } from 'node:worker_threads';
import type { BootData, FunctionError, Invocation, WorkerAnswer, WorkerData } from './bootstrap.ts';
import { newKeyGate, shutGate } from './key-gate.ts';

export type InvokeResult =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly error: FunctionError };

export interface WorkerOptions {
  readonly boot: BootData;
  /** The whole environment of the function: nothing of this process's own gets in. */
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMiB: number;
  readonly onLine: (line: string) => void;
  readonly onEnd: () => void;
}

/**
 * Lambda gives a function ten seconds of cores of its own to initialise. The cores of this machine are shared: ended
 * after ten seconds of waiting for them, workers would be started over and over and never get ready.
 */
const initTimeoutMs = 60_000;

/** One execution environment: a worker thread that runs one invocation at a time. */
export class FunctionWorker {
  readonly #thread: Worker;
  readonly #keyGate = newKeyGate();
  readonly #ready: Promise<InvokeResult | undefined>;
  #settle: ((result: InvokeResult) => void) | undefined;
  #ended = false;
  #crashed = false;

  constructor(options: WorkerOptions) {
    const { boot, environment, memoryMiB, onLine, onEnd } = options;
    this.#thread = new Worker(new URL('./bootstrap.ts', import.meta.url), {
      workerData: { ...boot, keyGate: this.#keyGate } satisfies WorkerData,
      env: { ...environment },
      execArgv: [],
      argv: [],
      stdin: false,
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: memoryMiB },
    });
    for (const stream of [this.#thread.stdout, this.#thread.stderr]) eachLine(stream, onLine);
    let initialised: (failure?: InvokeResult) => void = () => {};
    this.#ready = new Promise((resolve) => {
      initialised = resolve;
    });
    const timer = setTimeout(
      () =>
        initialised(
          failure('Sandbox.Timedout', `Init timed out after ${(initTimeoutMs / 1000).toFixed(2)} seconds`),
        ),
      initTimeoutMs,
    );
    this.#thread.on('message', (answer: WorkerAnswer) => {
      if (answer.type === 'ready') initialised();
      else if (answer.type === 'error') {
        this.#ended ||= answer.fatal === true;
        initialised({ ok: false, error: answer.error });
        this.#finish({ ok: false, error: answer.error });
      } else this.#finish({ ok: true, payload: JSON.parse(answer.payload) });
    });
    this.#thread.on('error', (error: unknown) => {
      this.#ended = true;
      const name = error instanceof Error ? error.name : 'Error';
      const result = failure(
        name === 'ERR_WORKER_OUT_OF_MEMORY' ? 'Runtime.OutOfMemory' : name,
        error instanceof Error ? error.message : String(error),
      );
      onLine(JSON.stringify({ level: 'ERROR', message: result.error }));
      initialised(result);
      this.#finish(result);
    });
    this.#thread.on('exit', (code) => {
      this.#ended = true;
      clearTimeout(timer);
      const result = this.#crashed
        ? failure('Runtime.ExitError', 'RequestId: crashed by a fault rule of the local cloud')
        : failure('Runtime.ExitError', `Runtime exited with error: exit status ${code}`);
      initialised(result);
      this.#finish(result);
      onEnd();
    });
    void this.#ready.then(() => clearTimeout(timer));
  }

  /** Settles when it can work or has failed to start; never rejects. */
  get started(): Promise<unknown> {
    return this.#ready;
  }

  get ended(): boolean {
    return this.#ended;
  }

  async invoke(invocation: Invocation, timeoutMs: number): Promise<InvokeResult> {
    const broken = await this.#ready;
    if (broken) {
      await this.terminate();
      return broken;
    }
    const result = new Promise<InvokeResult>((resolve) => {
      this.#settle = resolve;
    });
    const seconds = (timeoutMs / 1000).toFixed(2);
    const timer = setTimeout(() => {
      this.#finish(failure('Sandbox.Timedout', `Task timed out after ${seconds} seconds`));
      void this.terminate();
    }, timeoutMs);
    this.#thread.postMessage({ ...invocation, deadline: Date.now() + timeoutMs });
    const answer = await result;
    clearTimeout(timer);
    return answer;
  }

  /** Ends it as if the machine had died. */
  crash(): void {
    this.#crashed = true;
    void this.terminate();
  }

  async terminate(): Promise<void> {
    this.#ended = true;
    const keys = shutGate(this.#keyGate);
    if (keys) await keys;
    await this.#thread.terminate();
  }

  #finish(result: InvokeResult): void {
    this.#settle?.(result);
    this.#settle = undefined;
  }
}

function failure(errorType: string, errorMessage: string): { ok: false; error: FunctionError } {
  return { ok: false, error: { errorType, errorMessage, trace: [] } };
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}
