import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { renderEtcdArguments } from '../../../lambdas/core/etcd-flags.ts';
import { EtcdClient } from '../etcd/client.ts';
import type { ClientTls } from '../etcd/grpc.ts';
import { judgeExit, LastLines } from '../exit-reason.ts';
import { mergeEtcdLine } from '../log.ts';
import type { Timing } from '../timing.ts';
import { WorkError } from './failure.ts';

export interface ScratchOptions {
  /** Path of etcd. */
  readonly program: string;
  readonly version: string;
  readonly memberName: string;
  readonly ip: string;
  readonly dataDirectory: string;
  readonly pkiDirectory: string;
  readonly tls: ClientTls;
  /** A member's own data: its peers are forgotten. */
  readonly alone: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called at once: it must be killed if our process ends out of order. */
  readonly onScratch: (scratch: { kill(): void }) => void;
  readonly writeLog: (line: string) => void;
  readonly timing: Timing;
}

const readyWithinMs = 10 * 60_000;
const pollMs = 50;
const statusTimeoutMs = 2_000;
/** One transaction may be as large as any that was made under a limit of more than the usual 1.5 MiB. */
const mostRequestBytes = 512 * 1024 * 1024;
const mostOperations = 10_000_000;

/** An etcd of one member that nobody but this worker uses, and that is thrown away. */
export class ScratchEtcd {
  readonly client: EtcdClient;
  readonly #child: ChildProcess;
  readonly #ended: Promise<WorkError>;
  readonly #closed: Promise<void>;
  #stopping = false;

  private constructor(options: ScratchOptions) {
    const { program, environment, writeLog, ip } = options;
    this.#child = spawn(program, argumentsOf(options), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment as NodeJS.ProcessEnv,
    });
    this.client = new EtcdClient(`https://${ip}:2379`, options.tls);
    const lastLines = new LastLines();
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lastLines.add(line);
        writeLog(mergeEtcdLine(line));
      });
    }
    const closed = Promise.withResolvers<void>();
    this.#closed = closed.promise;
    this.#ended = new Promise((resolve) => {
      const end = (code: number | null, signal: string | null) => {
        closed.resolve();
        const exit = { code, signal, lastLines: lastLines.lines, wasReady: false, hasData: true };
        const { kind, reason } = judgeExit(exit);
        const killed = signal !== null || kind === 'environment';
        resolve(new WorkError(killed ? 'passing' : 'unusable', `The scratch etcd ended: ${reason}`));
      };
      this.#child.on('error', (error) => {
        lastLines.add(error.message);
        if (this.#child.pid === undefined) end(127, null);
      });
      this.#child.on('close', end);
    });
  }

  /** Resolves when it takes changes. @throws WorkError */
  static async start(options: ScratchOptions, signal: AbortSignal): Promise<ScratchEtcd> {
    const scratch = new ScratchEtcd(options);
    options.onScratch(scratch);
    try {
      await scratch.guard(scratch.#ready(options.timing, signal));
      return scratch;
    } catch (error) {
      await scratch.stop();
      throw error;
    }
  }

  /** What is done with it, or why it ended meanwhile. @throws WorkError */
  async guard<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    return await Promise.race([
      work,
      this.#ended.then((error) => {
        throw error;
      }),
    ]);
  }

  /** Its data is thrown away: nothing is waited for. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.client.close();
    this.kill();
    await this.#closed;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #ready(timing: Timing, signal: AbortSignal): Promise<void> {
    const deadline = timing.now().getTime() + readyWithinMs;
    for (;;) {
      signal.throwIfAborted();
      const status = await this.client.status(statusTimeoutMs).catch(() => undefined);
      if (status !== undefined && status.leader !== '0') return;
      if (timing.now().getTime() > deadline) {
        throw new WorkError(
          'passing',
          `The scratch etcd was not ready within ${readyWithinMs / 60_000} min.`,
        );
      }
      await timing.sleep(pollMs, signal);
    }
  }
}

function argumentsOf(options: ScratchOptions): string[] {
  const { version, memberName, ip, dataDirectory, pkiDirectory, alone } = options;
  const usual = renderEtcdArguments({
    version,
    memberName,
    ip,
    token: 'scratch',
    initialCluster: { [memberName]: `https://${ip}:2380` },
    initialClusterState: 'existing',
    spec: { quotaMiB: 1, autoCompaction: { mode: 'off' } },
  }).map((argument) => argument.replaceAll('{{data}}', dataDirectory).replaceAll('{{pki}}', pkiDirectory));
  // Of a flag that is there twice the last one counts.
  return [
    ...usual,
    '--quota-backend-bytes=-1',
    `--max-txn-ops=${mostOperations}`,
    `--max-request-bytes=${mostRequestBytes}`,
    '--unsafe-no-fsync',
    ...(alone ? ['--force-new-cluster'] : []),
  ];
}
