import { enableCompileCache, flushCompileCache } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { passThroughGate } from './key-gate.ts';

/**
 * The runtime inside a function's worker thread: loads the handler, then answers one invocation after the other.
 * Speaks to `worker.ts` by messages. Must import nothing of the project but the gate: it shares the thread with the function.
 */
export interface BootData {
  readonly file: string;
  readonly exportName: string;
  /** Where compiled code is kept: a further worker starts with about half the work. @default nowhere */
  readonly compileCache?: string;
}

export interface WorkerData extends BootData {
  readonly keyGate: Int32Array;
}

export interface Invocation {
  readonly event: unknown;
  readonly context: Readonly<Record<string, unknown>>;
  readonly deadline: number;
}

export type WorkerAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'result'; readonly payload: string }
  /** `fatal`: the worker ends with it and can take no other invocation. */
  | { readonly type: 'error'; readonly error: FunctionError; readonly fatal?: boolean };

/** As Lambda answers a function error. */
export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
}

function functionError(error: unknown): FunctionError {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

function post(answer: WorkerAnswer): void {
  parentPort?.postMessage(answer);
}

process.on('unhandledRejection', (reason) => {
  const error = functionError(reason);
  post({ type: 'error', error: { ...error, errorType: 'Runtime.UnhandledPromiseRejection' }, fatal: true });
  process.exit(128);
});

const { file, exportName, keyGate, compileCache } = workerData as WorkerData;
if (compileCache !== undefined) enableCompileCache(compileCache);
passThroughGate(keyGate);
const loaded: Record<string, unknown> = await import(pathToFileURL(file).href);
const candidate = loaded[exportName] ?? (loaded.default as Record<string, unknown> | undefined)?.[exportName];
if (typeof candidate !== 'function') {
  throw Object.assign(new Error(`${file} does not export ${exportName}`), {
    name: 'Runtime.HandlerNotFound',
  });
}
const handler = candidate as (event: unknown, context: unknown) => unknown;

parentPort?.on('message', async ({ event, context, deadline }: Invocation) => {
  try {
    const whole = { ...context, getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()) };
    const result = await handler(event, whole);
    post({ type: 'result', payload: JSON.stringify(result) ?? 'null' });
  } catch (error) {
    post({ type: 'error', error: functionError(error) });
  }
});
post({ type: 'ready' });
if (compileCache !== undefined) flushCompileCache();
