import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Log } from '../../lambdas/core/ports.ts';
import type { EtcdState, NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { type EtcdExit, type ExitVerdict, judgeExit, LastLines } from './exit-reason.ts';
import { mergeEtcdLine, sentence } from './log.ts';
import type { Readiness } from './readiness.ts';
import { backOffMs, type Timing } from './timing.ts';

export interface EtcdCommand {
  readonly program: string;
  readonly arguments: readonly string[];
}

export interface SupervisorOptions extends EtcdCommand {
  /** etcd reads ETCD_* as flags and has no use for our credentials: pass what it needs, nothing else. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hasData: () => boolean;
  /** CAs that etcd would read if it were started now. */
  readonly trusted: () => readonly string[];
  /** What /readyz says now. */
  readonly readiness: () => Promise<Pick<Readiness, 'state'>>;
  /** Whether etcd answers on its client port. */
  readonly takesClients: () => Promise<boolean>;
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
const learnerPollMs = 250;
/**
 * A learner may be promoted at any moment, and somebody waits for it: it is asked as often as one that starts. After this
 * long there is no hurry any more.
 */
const hurryMs = 30_000;
const readyPollMs = 1_000;
/** A learner that works answers clients at once, or, see #unstick, seven seconds late. */
const clientPortGraceMs = 400;
/** A run this long after readiness counts as a good one: the next restart is immediate again. */
const goodRunMs = 10_000;

/** Keeps one etcd process running on one disk. States as in lambdas/core/wire/admin.ts. */
export class EtcdSupervisor {
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  #state: EtcdState = 'starting';
  #starts = 0;
  /** Starts that nobody has to worry about: the first one, and those after a swap. */
  #plannedStarts = 1;
  #command: EtcdCommand;
  #swap: { command: EtcdCommand; started: PromiseWithResolvers<void> } | undefined;
  #wake = new AbortController();
  #lastExit: EtcdView['lastExit'];
  #child: ChildProcess | undefined;
  #running: Promise<void> | undefined;
  #dataSeen = false;
  #unstuck = false;
  #trusted: readonly string[] = [];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#command = options;
  }

  get view(): EtcdView {
    const pid = this.#child?.pid;
    return {
      state: this.#state,
      restarts: Math.max(0, this.#starts - this.#plannedStarts),
      ...(pid !== undefined && { pid }),
      ...(this.#lastExit && { lastExit: this.#lastExit }),
    };
  }

  /** CAs that etcd read at its last start: it never reads them again (measured for 3.5, 3.6 and 3.7). */
  get trusted(): readonly string[] {
    return this.#trusted;
  }

  /** What runs, or would be started now. */
  get command(): EtcdCommand {
    return this.#command;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    const timer = this.#terminate(graceMs);
    await this.#running;
    clearTimeout(timer);
  }

  /**
   * Stops etcd and starts it with another command on the same disk. Resolves when the new process has been started.
   * @throws ControlPlaneError when this disk has ended, or we are stopping
   */
  async swap(command: EtcdCommand, graceMs: number): Promise<void> {
    if (this.#swap !== undefined) throw new Error('two swaps at once');
    if (this.#stopping.signal.aborted || ['removed', 'data-lost', 'stopped'].includes(this.#state)) {
      throw endedError(this.#state);
    }
    const started = Promise.withResolvers<void>();
    this.#swap = { command, started };
    this.#wake.abort();
    const timer = this.#terminate(graceMs);
    await Promise.race([
      started.promise,
      this.#running?.then(() => {
        throw endedError(this.#state);
      }),
    ]).finally(() => {
      clearTimeout(timer);
      this.#swap = undefined;
    });
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  #terminate(graceMs: number): NodeJS.Timeout {
    const child = this.#child;
    child?.kill('SIGTERM');
    return setTimeout(() => {
      this.#options.log.warn('etcd did not stop in time: killing it', { graceMs });
      child?.kill('SIGKILL');
    }, graceMs);
  }

  async #run(): Promise<void> {
    const { timing, log } = this.#options;
    let failures = 0;
    let unexplained = 0;
    while (!this.#stopping.signal.aborted) {
      const run = await this.#once();
      if (this.#stopping.signal.aborted) break;
      const verdict = this.#judge(run);
      if (this.#swap !== undefined && verdict.kind !== 'removed') {
        // Whatever is wrong with the disk, the next command will meet it too.
        unexplained = 0;
        failures = 0;
        continue;
      }
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
      this.#wake = new AbortController();
      if (delayMs > 0 && this.#swap === undefined) await timing.sleep(delayMs, this.#wake.signal);
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
    const { environment, timing, log } = this.#options;
    const lastLines = new LastLines();
    const swap = this.#swap;
    if (swap !== undefined) {
      this.#command = swap.command;
      this.#plannedStarts += 1;
      this.#swap = undefined;
    }
    const { program } = this.#command;
    this.#trusted = this.#options.trusted();
    const child = spawn(program, this.#command.arguments, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment as NodeJS.ProcessEnv,
    });
    this.#child = child;
    this.#starts += 1;
    this.#set('starting');
    swap?.started.resolve();
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
    const upSince = await watch;
    this.#child = undefined;
    const wasReady = upSince !== undefined;
    const goodRun = wasReady && timing.now().getTime() - upSince >= goodRunMs;
    return { code, signal, lastLines: lastLines.lines, wasReady, goodRun, hasData: this.#options.hasData() };
  }

  /** Until etcd has exited; returns when it first was ready, or a working learner, in this run. */
  async #watchReadiness(exited: AbortSignal): Promise<number | undefined> {
    const { timing, readiness, hasData } = this.#options;
    const startedAt = timing.now().getTime();
    let upSince: number | undefined;
    let learnerSince: number | undefined;
    while (!exited.aborted) {
      if (!this.#dataSeen && hasData()) await this.#noteData();
      const { state } = await readiness();
      if (exited.aborted) break;
      const now = timing.now().getTime();
      if (state !== 'not-ready') upSince ??= now;
      learnerSince = state === 'learner' ? (learnerSince ?? now) : undefined;
      if (learnerSince !== undefined && now - learnerSince >= clientPortGraceMs) await this.#unstick(exited);
      this.#set(state === 'not-ready' && upSince === undefined ? 'starting' : state);
      const expected = upSince === undefined || state === 'learner';
      const hurry = expected && timing.now().getTime() - startedAt < hurryMs;
      const pollMs = state === 'learner' ? learnerPollMs : readyPollMs;
      await timing.sleep(hurry ? startingPollMs : pollMs, exited);
    }
    return upSince;
  }

  /**
   * etcd takes clients once its name and addresses have gone through the raft log. A learner that starts from
   * a snapshot loses that first proposal: taking the snapshot over replaces its connections to the peers. etcd waits
   * 7 s before it says it again (seen at most learners of 3.6); started again on the data that it has by now,
   * it says it at once. Nothing depends on a learner. Once for each disk: it is a short cut, no cure.
   */
  async #unstick(exited: AbortSignal): Promise<void> {
    if (this.#unstuck || this.#swap !== undefined || this.#stopping.signal.aborted) return;
    if (!this.#dataSeen || (await this.#options.takesClients())) return;
    // On a busy machine it may only be slow, and promoted by now: then others depend on it.
    if ((await this.#options.readiness()).state !== 'learner') return;
    if (exited.aborted || this.#swap !== undefined) return;
    this.#unstuck = true;
    this.#options.log.info('The learner works but takes no clients yet: starting its etcd again');
    this.#swap = { command: this.#command, started: Promise.withResolvers<void>() };
    this.#child?.kill('SIGTERM');
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

function endedError(state: EtcdState): ControlPlaneError {
  return new ControlPlaneError(
    'etcd-ended',
    `etcd does not run on this disk any more (${state}): replace this member.`,
  );
}
