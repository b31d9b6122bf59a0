import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Api, createApi } from '../../../bin/cli/api.ts';
import { realWorld } from '../../../bin/cli/real-world.ts';
import { resolveTarget } from '../../../bin/cli/target.ts';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import { type LocalCloud, type LocalCloudOptions, startLocalCloud } from '../../../local/cloud.ts';
import { noteRights } from './rights.ts';
import { runtime } from './runtime.ts';
import { until } from './until.ts';

export const repoDir = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');

/** The user's entry to the CLI and to the local cloud in this process. */
export const world = realWorld({ env: process.env, repoDir, entry: join(repoDir, 'bin/nanny.ts') });

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const defaultDeadlineMs = 120_000;

/** A local cloud of this test, on a port and a state folder of its own. */
export interface TestCloud {
  readonly cloud: LocalCloud;
  readonly stateDir: string;
  readonly api: Api;
  /** The CLI as a user runs it: a process of its own, pointed at this cloud. */
  cli(...args: string[]): Promise<CliResult>;
  /** The same for a command below a group, such as `fleet status`. */
  cliBelow(group: string, command: string, ...args: string[]): Promise<CliResult>;
  /** PUT, then waits for the operation to succeed. */
  create(tenantId: string, spec?: Record<string, unknown>, deadlineMs?: number): Promise<TenantDocument>;
  tenant(tenantId: string): Promise<TenantDocument>;
  /** Waits until the operation has ended. @throws Error with its message when it failed */
  ended(
    operation: Operation,
    waiting?: number | { deadlineMs?: number; everyMs?: number },
  ): Promise<Operation>;
  /** Stops the cloud, starts it again on the same state; with other options, if any are given. */
  restart(changed?: Partial<LocalCloudOptions>): Promise<void>;
  /** Stops it and deletes its state. */
  dispose(): Promise<void>;
}

export async function testCloud(options: Partial<LocalCloudOptions> = {}): Promise<TestCloud> {
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'nanny-e2e-'));
  const port = options.port ?? (await freePort());
  const start = (changed: Partial<LocalCloudOptions> = {}) =>
    startLocalCloud({ repoDir, runtime, environment: process.env, ...options, ...changed, stateDir, port });
  let cloud = await start();
  let edited = options.edit !== undefined;
  const stop = async () => {
    await cloud.stop();
    // Tests that change the templates provoke what is refused then.
    noteRights({ rights: cloud.iam.book.rights(), denials: edited ? [] : cloud.iam.book.denials() });
  };
  const api = createApi(world, await resolveTarget(world, { url: cloud.url, state: stateDir }));

  const tenant = (tenantId: string) =>
    api.call<TenantDocument>({ method: 'GET', path: `/v1/tenants/${tenantId}` });

  const ended: TestCloud['ended'] = (operation, waiting = {}) => {
    const patience = {
      deadlineMs: defaultDeadlineMs,
      ...(typeof waiting === 'number' ? { deadlineMs: waiting } : waiting),
    };
    return until(
      `${operation.kind} of ${operation.tenantId} to end`,
      async () => {
        const path = `/v1/tenants/${operation.tenantId}/operations/${operation.operationId}`;
        const now = await api.call<Operation>({ method: 'GET', path });
        return ['succeeded', 'failed'].includes(now.state) && now;
      },
      patience,
    ).then(async (end) => {
      if (end.state === 'failed') throw new Error(`${end.kind} of ${end.tenantId} failed: ${end.message}`);
      // Its end is written a moment before the record lets go of it; a deleted tenant has no record any more.
      await until(
        `${operation.tenantId} to be done with it`,
        async () => {
          const open = await tenant(operation.tenantId).catch(() => undefined);
          return open?.operation?.operationId !== operation.operationId;
        },
        patience,
      );
      return end;
    });
  };

  return {
    get cloud() {
      return cloud;
    },
    stateDir,
    api,
    tenant,
    ended,
    cli: (...args) => runCli(args, stateDir),
    cliBelow: (group, command, ...args) => runCli([`${group} ${command}`, ...args], stateDir),
    async create(tenantId, spec = {}, deadlineMs) {
      const { operation } = await api.call<{ operation: Operation }>({
        method: 'PUT',
        path: `/v1/tenants/${tenantId}`,
        body: { spec },
      });
      await ended(operation, deadlineMs);
      return tenant(tenantId);
    },
    async restart(changed) {
      await stop();
      edited = (changed?.edit ?? options.edit) !== undefined;
      cloud = await start(changed);
    },
    async dispose() {
      await stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Runs the CLI as a user does, in a process of its own. */
export function runCli(
  args: readonly string[],
  stateDir: string,
  env: NodeJS.ProcessEnv = {},
): Promise<CliResult> {
  const [command = '', ...rest] = args;
  const child = spawn(
    process.execPath,
    [join(repoDir, 'bin/nanny.ts'), ...command.split(' '), '--state', stateDir, ...rest],
    {
      cwd: repoDir,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  return finished(child);
}

/** What a process has printed by its end. */
export function finished(child: ChildProcessByStdio<null, Readable, Readable>): Promise<CliResult> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Ports 4800 to 4899: each gives the local cloud a loopback network of its own. */
export async function freePort(): Promise<number> {
  const first = Math.floor(Math.random() * 100);
  for (let offset = 0; offset < 100; offset++) {
    const port = 4800 + ((first + offset) % 100);
    if (await canListen(port)) return port;
  }
  throw new Error('No free port between 4800 and 4899.');
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
