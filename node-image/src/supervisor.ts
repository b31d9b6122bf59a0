import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Log } from '../../lambdas/core/ports.ts';
import type { EtcdState, NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { type EtcdExit, type ExitVerdict, judgeExit, LastLines } from './exit-reason.ts';
import { mergeEtcdLine, sentence } from './log.ts';
import { backOffMs, type Timing } from './timing.ts';

export interface SupervisorOptions {
  readonly program: string;
  readonly arguments: readonly string[];
  /** etcd reads ETCD_* as flags and has no use for our credentials: pass what it needs, nothing else. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hasData: () => boolean;
  /** Whether /readyz answers 200 now. */
  readonly isReady: () => Promise<boolean>;
  /** Called once, as soon as etcd's WAL is on the disk. */
  readonly onData: () => Promise<void>;
  /** `removed` and `data-lost` must be on the disk before anything else happens. */
  readonly onEnded: (state: 'removed' | 'data-lost', reason: string) => Promise<void>;
  readonly onChange: () => void;
  readonly writeLog: (line: string) => void;
  readonly log: Log;
  readonly timing: Timing;
}

type EtcdView = NannyStatus['etcd'];

/** The first restart is immediate; these are for those that follow without a ready etcd in between. */
const backOff = { firstMs: 1_000, maxMs: 30_000 };
const fastFailuresForDataLoss = 3;
const startingPollMs = 100;
/** A learner is never ready for /readyz: after this long there is no hurry any more. */
const hurryMs = 30_000;
const readyPollMs = 1_000;
/** A run this long after readiness counts as a good one: the next restart is immediate again. */
const goodRunMs = 10_000;

/** Keeps one etcd process running on one disk. States as in lambdas/core/wire/admin.ts. */
export class EtcdSupervisor {
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  #state: EtcdState = 'starting';
  #starts = 0;
  #lastExit: EtcdView['lastExit'];
  #child: ChildProcess | undefined;
  #running: Promise<void> | undefined;
  #dataSeen = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get view(): EtcdView {
    const pid = this.#child?.pid;
    return {
      state: this.#state,
      restarts: Math.max(0, this.#starts - 1),
      ...(pid !== undefined && { pid }),
      ...(this.#lastExit && { lastExit: this.#lastExit }),
    };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    child?.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#options.log.warn('etcd did not stop in time: killing it', { graceMs });
      child?.kill('SIGKILL');
    }, graceMs);
    await this.#running;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async #run(): Promise<void> {
    const { timing, log } = this.#options;
    let failures = 0;
    let unexplained = 0;
    while (!this.#stopping.signal.aborted) {
      const run = await this.#once();
      if (this.#stopping.signal.aborted) break;
      const verdict = this.#judge(run);
      unexplained = verdict.kind === 'unexplained' ? unexplained + 1 : 0;
      failures = run.goodRun ? 0 : failures + 1;
      this.#lastExit = {
        at: timing.now().toISOString(),
        code: run.code,
        signal: run.signal,
        reason: verdict.reason,
      };
      const lost = verdict.kind === 'corrupt' || unexplained >= fastFailuresForDataLoss;
      if (verdict.kind === 'removed' || lost) {
        const state = verdict.kind === 'removed' ? 'removed' : 'data-lost';
        await this.#options.onEnded(state, verdict.reason).catch((error) => {
          log.error(`The end of this disk could not be noted on it: ${sentence(error)}`);
        });
        log.error(`etcd will not be started again on this disk: ${verdict.reason}`, { state });
        this.#set(state);
        return;
      }
      const delayMs = failures <= 1 ? 0 : backOffMs(failures - 2, timing, backOff);
      log.warn(`${verdict.reason}; starting it again`, { inMs: Math.round(delayMs), failures });
      this.#set('backing-off');
      if (delayMs > 0) await timing.sleep(delayMs, this.#stopping.signal);
    }
    this.#set('stopped');
  }

  #judge(run: EtcdExit): ExitVerdict {
    // Started on an emptied disk, etcd would be a newcomer that votes under an old member's id (S3).
    if (this.#dataSeen && !run.hasData && run.code !== 0) {
      return { kind: 'corrupt', reason: 'the data directory has been emptied while etcd ran' };
    }
    return judgeExit(run);
  }

  async #once() {
    const { program, environment, timing, log } = this.#options;
    const lastLines = new LastLines();
    const child = spawn(program, this.#options.arguments, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment as NodeJS.ProcessEnv,
    });
    this.#child = child;
    this.#starts += 1;
    this.#set('starting');
    if (child.pid !== undefined) {
      log.info('etcd started', { pid: child.pid, program, start: this.#starts });
    }
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lastLines.add(line);
        this.#options.writeLog(mergeEtcdLine(line));
      });
    }
    const exited = new AbortController();
    const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      child.on('error', (error) => {
        lastLines.add(error.message);
        if (child.pid === undefined) resolve({ code: 127, signal: null });
      });
      // 'close', not 'exit': the last lines say why it ended.
      child.on('close', (code, signal) => resolve({ code, signal }));
    }).finally(() => exited.abort());
    const watch = this.#watchReadiness(exited.signal);
    const { code, signal } = await exit;
    const readySince = await watch;
    this.#child = undefined;
    const wasReady = readySince !== undefined;
    const goodRun = wasReady && timing.now().getTime() - readySince >= goodRunMs;
    return { code, signal, lastLines: lastLines.lines, wasReady, goodRun, hasData: this.#options.hasData() };
  }

  /** Until etcd has exited; returns when it first became ready in this run. */
  async #watchReadiness(exited: AbortSignal): Promise<number | undefined> {
    const { timing, isReady, hasData } = this.#options;
    const startedAt = timing.now().getTime();
    let readySince: number | undefined;
    while (!exited.aborted) {
      if (!this.#dataSeen && hasData()) await this.#noteData();
      const ready = await isReady();
      if (exited.aborted) break;
      if (ready) readySince ??= timing.now().getTime();
      this.#set(ready ? 'ready' : readySince === undefined ? 'starting' : 'not-ready');
      const hurry = readySince === undefined && timing.now().getTime() - startedAt < hurryMs;
      await timing.sleep(hurry ? startingPollMs : readyPollMs, exited);
    }
    return readySince;
  }

  /** Tried again at the next look when it fails (a full disk): etcd goes on meanwhile. */
  async #noteData(): Promise<void> {
    try {
      await this.#options.onData();
      this.#dataSeen = true;
    } catch (error) {
      this.#options.log.error(`That etcd has data could not be noted: ${sentence(error)}`);
    }
  }

  #set(state: EtcdState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onChange();
  }
}
