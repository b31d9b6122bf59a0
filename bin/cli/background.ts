import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Background, World } from './world.ts';

interface Message {
  readonly kind: 'line' | 'ready' | 'failed';
  readonly text: string;
}

/** The first start may build etcd from source, which says nothing for minutes. */
const silenceMs = 20 * 60_000;

/**
 * Starts the CLI in a session of its own, so that closing the terminal does not end it. It reports over an IPC channel
 * that is dropped as soon as it is ready.
 */
export async function startBackground(
  entry: string,
  args: readonly string[],
  logFile: string,
  env: World['env'],
): Promise<Background> {
  await mkdir(dirname(logFile), { recursive: true });
  const log = await open(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [entry, ...args], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
    env,
  });
  await log.close();
  return {
    pid: child.pid ?? 0,
    follow: (onLine) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => finish(false, 'it has said nothing for 20 minutes'), silenceMs);
        const finish = (ready: boolean, reason?: string) => {
          clearTimeout(timer);
          child.removeAllListeners();
          if (child.connected) child.disconnect();
          child.unref();
          resolve({ ready, ...(reason === undefined ? {} : { reason }) });
        };
        let last = '';
        child.on('message', (message: Message) => {
          timer.refresh();
          if (message.kind === 'ready') return finish(true);
          if (message.kind === 'failed') return finish(false, message.text);
          last = message.text;
          onLine(message.text);
        });
        child.on('error', (error) => finish(false, error.message));
        child.on('exit', (code, signal) =>
          finish(false, `it ended with ${signal ?? `code ${code}`} after "${last.trim()}"`),
        );
      }),
  };
}
