import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { wildcard } from '../../aws/names.ts';
import { capLog, defaultMaxLogBytes } from './log-file.ts';
import { identify, isOurGroup, liveMembers } from './process-table.ts';
import {
  type ContainerRuntime,
  type ContainerSpec,
  ContainerStartError,
  type ImageCatalog,
  type RunningContainer,
} from './runtime.ts';

export interface ProcessRuntimeOptions {
  readonly images: ImageCatalog;
  /** @default 16 MiB */
  readonly maxLogBytes?: number;
}

const minimalPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const logCheckMs = 10_000;

/**
 * A container is a process group of its own. Nothing limits its cpu or memory, and it sees this machine's files: what a
 * mount namespace would do is done by rewriting environment values that start with a mount point.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): ContainerRuntime {
  const maxLogBytes = options.maxLogBytes ?? defaultMaxLogBytes;
  return {
    how: {
      cut: 'process freeze (SIGSTOP): connections stay open and silent, as behind a lost network',
      fillDisk: true,
    },
    start: (spec) => startProcess(spec, findImage(options.images, spec.image), maxLogBytes),
    async reap(identity, spec) {
      if (!isOurGroup(identity, spec.directory, spec.marker)) return false;
      await killGroup(identity.pid);
      return true;
    },
  };
}

function findImage(images: ImageCatalog, image: string) {
  for (const [pattern, entry] of Object.entries(images)) {
    if (wildcard(pattern, { question: false }).test(image)) return entry;
  }
  throw new ContainerStartError(
    'CannotPullContainerError',
    `pull image manifest has been retried 1 time(s): failed to resolve ref ${image}: ${image}: not found`,
  );
}

async function startProcess(
  spec: ContainerSpec,
  image: ImageCatalog[string],
  maxLogBytes: number,
): Promise<RunningContainer> {
  const [command = '', ...args] = [...image.command, ...(spec.command ?? [])];
  const environment = { PATH: minimalPath, HOME: spec.directory, ...image.environment, ...spec.environment };
  // The log is a plain file, not a pipe through us: the container must not feel it when the cloud is killed.
  const log = openSync(spec.logFile, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(command, args, {
      cwd: spec.directory,
      detached: true,
      env: Object.fromEntries(
        Object.entries(environment).map(([name, value]) => [name, toHostPath(value, spec.mounts)]),
      ),
      stdio: ['ignore', log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
  } catch (error) {
    throw new ContainerStartError('CannotStartContainerError', `${(error as Error).message} (${command})`);
  } finally {
    closeSync(log);
  }
  return supervise(child, spec.logFile, maxLogBytes);
}

function supervise(child: ChildProcess, logFile: string, maxLogBytes: number): RunningContainer {
  const pid = child.pid!;
  let ended = false;
  const logTimer = setInterval(() => capLog(logFile, maxLogBytes), logCheckMs).unref();
  const exited = new Promise<{ exitCode: number }>((resolve) => {
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      clearInterval(logTimer);
      capLog(logFile, maxLogBytes);
      void killGroup(pid).then(() => {
        ended = true;
        resolve({ exitCode: code ?? 128 + constants.signals[signal ?? 'SIGKILL'] });
      });
    };
    if (child.exitCode !== null || child.signalCode !== null) finish(child.exitCode, child.signalCode);
    else child.once('exit', finish);
  });
  const signal = (name: NodeJS.Signals, target: 'main' | 'all') => {
    if (!ended) sendSignal(target === 'all' ? -pid : pid, name);
  };
  return {
    identity: identify(pid),
    exited,
    signal,
    processes: () => (ended ? [] : liveMembers(pid)),
    async cut() {
      signal('SIGSTOP', 'all');
    },
    async mend() {
      signal('SIGCONT', 'all');
    },
    async stop(graceMs) {
      signal('SIGTERM', 'main');
      const timer = setTimeout(() => signal('SIGKILL', 'all'), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    // Gone already, or (macOS) only zombies left.
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Kills what is left of a group and waits (at most 5 s) until it is gone: a restart must find ports and locks free. */
async function killGroup(processGroup: number): Promise<void> {
  sendSignal(-processGroup, 'SIGKILL');
  const deadline = Date.now() + 5000;
  while (liveMembers(processGroup).length > 0 && Date.now() < deadline) {
    await sleep(5);
    sendSignal(-processGroup, 'SIGKILL');
  }
}

function toHostPath(value: string, mounts: ContainerSpec['mounts']): string {
  const mount = mounts.find(
    ({ containerPath }) => value === containerPath || value.startsWith(`${containerPath}/`),
  );
  return mount ? mount.directory + value.slice(mount.containerPath.length) : value;
}
