import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { newAccessKeyId } from './iam/credentials.ts';

/** `<state>/cloud.json`: what other processes need to know of a local cloud. Mode 0600: it holds a secret. */
export const cloudFileSchema = z.object({
  url: z.string(),
  /** Base URL of the provisioning API: `<apiUrl>/v1/tenants`. */
  apiUrl: z.string(),
  port: z.number(),
  region: z.string(),
  accountId: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  /** Absent when it is stopped. */
  pid: z.number().optional(),
  startedAt: z.string().optional(),
  /** When the operating system started the process: tells it from a later one with the same pid. */
  processStart: z.string().optional(),
});

export type CloudFile = z.infer<typeof cloudFileSchema>;

/** A refusal to start, in a sentence for people. */
export class LocalCloudError extends Error {}

export function readCloudFile(stateDir: string): CloudFile | undefined {
  const file = join(stateDir, 'cloud.json');
  if (!existsSync(file)) return undefined;
  try {
    return cloudFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new LocalCloudError(
      `${file} cannot be read (${error instanceof Error ? error.message : error}): remove it, or choose another state directory.`,
    );
  }
}

export function writeCloudFile(stateDir: string, content: CloudFile): void {
  writeJson(join(stateDir, 'cloud.json'), content);
}

/** The running cloud of this state, if there is one. */
export function runningCloud(stateDir: string): CloudFile | undefined {
  const file = readCloudFile(stateDir);
  return file?.pid !== undefined && isProcess(file.pid, file.processStart) ? file : undefined;
}

/** Key of the administrator: the same at every start, so that shells that have it keep working. */
export function administratorKey(previous: CloudFile | undefined): {
  accessKeyId: string;
  secretAccessKey: string;
} {
  if (previous) return { accessKeyId: previous.accessKeyId, secretAccessKey: previous.secretAccessKey };
  return { accessKeyId: newAccessKeyId('AKIA'), secretAccessKey: randomBytes(30).toString('base64') };
}

const lockSchema = z.object({ pid: z.number(), processStart: z.string().optional() });

/**
 * Only one cloud per state. Gives the release.
 * @throws LocalCloudError when another one holds it
 */
export function lockState(stateDir: string): () => void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const file = join(stateDir, 'lock');
  const own = JSON.stringify({ pid: process.pid, processStart: processStart(process.pid) });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = lockSchema.safeParse(parse(readFileSync(file, 'utf8'))).data;
    if (holder && isProcess(holder.pid, holder.processStart)) {
      throw new LocalCloudError(
        `A local cloud (process ${holder.pid}) already works on ${stateDir}: stop it with "npx nanny local stop", or choose another directory with --state.`,
      );
    }
    rmSync(file, { force: true });
  }
  throw new LocalCloudError(`${file} cannot be taken: another local cloud starts on it just now.`);
}

/** When the process was started, in the words of the operating system; undefined when there is none. */
export function processStart(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The second field, the program's name, may hold spaces; what follows its closing bracket does not.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

function isProcess(pid: number, start: string | undefined): boolean {
  const actual = processStart(pid);
  return actual !== undefined && (start === undefined || start === actual);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function writeJson(file: string, content: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
