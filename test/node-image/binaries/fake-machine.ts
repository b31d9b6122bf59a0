import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ExecOptions, ExecResult, Machine } from '../../../node-image/binaries/machine.ts';
import type { Source } from '../../../node-image/binaries/source.ts';

export type FakeCommand = (args: readonly string[], options: ExecOptions) => Promise<Partial<ExecResult>>;

export interface FakeMachineOptions {
  /** Body by URL; what is not here answers 404; `undefined` for no network at all. */
  web?: Record<string, Buffer | string> | undefined;
  /** Commands on PATH. */
  commands?: Record<string, FakeCommand>;
  root?: string;
  os?: string;
  arch?: string;
}

/** A machine whose network and commands are the test's own. A "binary" is a text file: `<name> <version>`. */
export function fakeMachine(options: FakeMachineOptions = {}): Machine & { requests: string[] } {
  const commands = options.commands ?? {};
  const requests: string[] = [];
  return {
    os: options.os ?? 'linux',
    arch: options.arch ?? 'x64',
    env: {},
    root: options.root ?? '/nonexistent',
    requests,
    fetch: async (input, init) => {
      const url = String(input);
      requests.push(`${init?.method ?? 'GET'} ${url}`);
      if (options.web === undefined) throw new TypeError('fetch failed', { cause: new Error('no network') });
      const body = options.web[url];
      if (body === undefined) return new Response('not found', { status: 404 });
      return new Response(init?.method === 'HEAD' ? null : new Uint8Array(Buffer.from(body)));
    },
    exec: async (command, args, execOptions = {}) => {
      const fake = commands[command] ?? commands[command.replace(/^\/bin\//, '')];
      const result = fake ? await fake(args, execOptions) : await runBinary(command);
      return { code: 0, stdout: Buffer.alloc(0), stderr: '', ...result };
    },
    which: async (command) => (command in commands ? `/bin/${command}` : undefined),
  };
}

async function runBinary(path: string): Promise<Partial<ExecResult>> {
  const [name, version] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
  if (!version) return { code: -1, stderr: `${path}: cannot be executed` };
  return {
    stdout: Buffer.from(name === 'etcd' ? `etcd Version: ${version}\n` : `${name} version: ${version}\n`),
  };
}

/** Removed when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'etcd-binaries-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function putBinaries(dir: string, version: string): Promise<void> {
  for (const name of ['etcd', 'etcdctl', 'etcdutl']) await putFile(join(dir, name), `${name} ${version}`);
}

export async function putFile(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

export function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A source that gives what it is told, and counts. */
export function fakeSource(
  name: Source['name'],
  obtain: Source['obtain'],
): Source & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    name,
    asked,
    probe: async () => {},
    obtain: async (version, stage, context) => {
      asked.push(version);
      await obtain(version, stage, context);
    },
  };
}
