import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Platform } from './versions.ts';

export interface ExecResult {
  /** -1 when it could not be started or was stopped for taking too long. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly cwd?: string;
  /** Added to the machine's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly onStderrLine?: (line: string) => void;
  /** Written to standard input. */
  readonly input?: Buffer;
}

/** What the resolver needs of the machine it runs on. Tests bring their own. */
export interface Machine {
  /** As in `process.platform` and `process.arch`. */
  readonly os: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Usually `/`; where `etc/apt` and `usr/share/keyrings` are looked for. */
  readonly root: string;
  readonly fetch: typeof fetch;
  /** Never throws: what cannot be started has code -1 and says why on stderr. */
  exec(command: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Full path of an executable on PATH. */
  which(command: string): Promise<string | undefined>;
}

/** The real machine. The environment is passed in by the entry point: nothing below it reads it for itself. */
export function systemMachine(env: Readonly<Record<string, string | undefined>>): Machine {
  return {
    os: process.platform,
    arch: process.arch,
    env,
    root: '/',
    fetch: globalThis.fetch,
    exec: (command, args, options = {}) => run(command, args, options, env),
    which: (command) => which(command, env.PATH ?? ''),
  };
}

/** In Go's words, as release archives are named; undefined where there are no archives for it. */
export function platformOf(machine: Pick<Machine, 'os' | 'arch'>): Platform | undefined {
  const os = { linux: 'linux', darwin: 'darwin' }[machine.os];
  const arch = { x64: 'amd64', arm64: 'arm64' }[machine.arch];
  return os && arch ? (`${os}-${arch}` as Platform) : undefined;
}

async function which(command: string, path: string): Promise<string | undefined> {
  for (const dir of path.split(delimiter)) {
    if (dir === '') continue;
    const candidate = join(dir, command);
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {}
  }
  return undefined;
}

function run(
  command: string,
  args: readonly string[],
  options: ExecOptions,
  base: Readonly<Record<string, string | undefined>>,
): Promise<ExecResult> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: { ...base, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    let stderr = '';
    let partial = '';
    let timedOut = false;
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            child.kill('SIGKILL');
          }, options.timeoutMs);
    const finish = (code: number, note = '') => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(stdout), stderr: stderr + note });
    };
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      if (options.onStderrLine) for (const line of lines) options.onStderrLine(line);
    });
    // A command that ends without reading its input is not an error of ours.
    child.stdin.on('error', () => {}).end(options.input);
    child.on('error', (error) => finish(-1, error.message));
    child.on('close', (code) =>
      timedOut ? finish(-1, `stopped after ${options.timeoutMs} ms`) : finish(code ?? -1),
    );
  });
}
