import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoDir } from './cloud.ts';
import { until } from './until.ts';

/** A command of the CLI in a process group of its own, as a terminal's foreground job. */
export interface Launched {
  readonly pid: number;
  /** Everything it has printed so far, stdout and stderr. */
  output(): string;
  stdout(): string;
  /** Waits for a piece of its output. @throws Error with all of it when the process has ended before */
  says(text: string | RegExp, deadlineMs?: number): Promise<void>;
  /** A signal to the whole group: what Ctrl-C does. */
  signal(name: NodeJS.Signals): void;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
}

export function launch(args: readonly string[]): Launched {
  const child: ChildProcess = spawn(process.execPath, [join(repoDir, 'bin/nanny.ts'), ...args], {
    cwd: repoDir,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, output, over] = ['', '', false];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      over = true;
      resolve({ code, signal });
    });
  });
  return {
    pid: child.pid!,
    output: () => output,
    stdout: () => stdout,
    exited,
    signal: (name) => void process.kill(-child.pid!, name),
    async says(text, deadlineMs = 240_000) {
      const there = () => (typeof text === 'string' ? output.includes(text) : text.test(output));
      await until(`"${text}" to be printed`, () => there() || over, { deadlineMs, everyMs: 20 });
      if (!there()) throw new Error(`It ended without saying "${text}":\n${output}`);
    },
  };
}

/** Runs a command of the CLI to its end. */
export async function finished(
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; output: string }> {
  const run = launch(args);
  const { code } = await run.exited;
  return { code, stdout: run.stdout(), output: run.output() };
}
