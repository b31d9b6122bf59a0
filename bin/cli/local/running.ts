import * as z from 'zod';
import { CliError } from '../errors.ts';
import { readCloudFile } from '../target.ts';
import type { World } from '../world.ts';

export interface LocalStatus {
  readonly running: boolean;
  readonly stateDir: string;
  readonly url?: string;
  readonly pid?: number;
  readonly port?: number;
}

const statusSchema = z.object({ pid: z.number() });

/** Up means: its process lives and its endpoint answers. */
export async function localStatus(world: World, stateDir: string): Promise<LocalStatus> {
  const file = await readCloudFile(stateDir);
  if (!file) return { running: false, stateDir };
  if (file.pid === undefined) return { running: false, stateDir, url: file.url, port: file.port };
  const running = world.processAlive(file.pid) && (await answers(world, file.url, file.pid));
  return { running, stateDir, url: file.url, pid: file.pid, port: file.port };
}

async function answers(world: World, url: string, pid: number): Promise<boolean> {
  try {
    const response = await world.fetch(`${url}/_local/status`, { signal: AbortSignal.timeout(3_000) });
    return statusSchema.parse(await response.json()).pid === pid;
  } catch {
    return false;
  }
}

/** etcd members hand their leadership over and write what they hold before they end. */
const stopSeconds = 60;

/** @returns whether there was one to stop */
export async function stopLocal(world: World, stateDir: string): Promise<boolean> {
  const status = await localStatus(world, stateDir);
  // A file left behind by a crash may name a process id that belongs to somebody else by now: only a cloud that
  // answers at its address is sent a signal.
  if (!status.running || status.pid === undefined) return false;
  world.signal(status.pid, 'SIGTERM');
  for (let waited = 0; waited < stopSeconds * 1000; waited += 200) {
    if (!world.processAlive(status.pid)) return true;
    await world.sleep(200);
  }
  throw new CliError(
    `The local cloud (process ${status.pid}) has not stopped within ${stopSeconds} s. Look at ${stateDir}/cloud.log, or end it with kill -9 ${status.pid}.`,
    { code: 'timeout' },
  );
}
