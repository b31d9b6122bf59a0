import { type ChildProcess, spawn } from 'node:child_process';
import { nannyNodeFlags } from '../../../../node-image/bundle.ts';

/** A real nanny, bundled, in a process group of its own as the local cloud runs it. */
export class NannyProcess {
  readonly lines: string[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly #child: ChildProcess;

  constructor(bundle: string, env: Record<string, string>) {
    this.#child = spawn(process.execPath, [...nannyNodeFlags, bundle], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      let rest = '';
      stream.setEncoding('utf8').on('data', (text: string) => {
        const parts = (rest + text).split('\n');
        rest = parts.pop() ?? '';
        this.lines.push(...parts);
      });
    }
    this.exited = new Promise((resolve) =>
      this.#child.on('close', (code, signal) => resolve({ code, signal })),
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As ECS ends a container: nanny and etcd at once. */
  killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }

  /** The nanny's own lines, newest last. */
  messages(): { level: string; msg: string }[] {
    return this.lines.filter((line) => line.startsWith('{"source":"nanny"')).map((line) => JSON.parse(line));
  }
}
