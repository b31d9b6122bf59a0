import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../bin/cli/program.ts';
import type { World } from '../../bin/cli/world.ts';
import { type World as ApiWorld, createWorld, signed } from '../lambdas/api/world.ts';

/** The CLI against the real API app behind node:http, over in-memory fakes. */
const host = '127.76.0.10';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents are asserted field by field
  readonly json: any;
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function createCliWorld() {
  const api: ApiWorld = createWorld();
  const requests: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = [];
  /** Called before a request is answered; an answer of its own takes the app's place. */
  const hooks: { before?: (method: string, url: string) => Response | undefined | Promise<undefined> } = {};
  const server = createServer(async (incoming, outgoing) => {
    const body = await bodyOf(incoming);
    const { method = 'GET', url = '/' } = incoming;
    requests.push({ method, url, headers: incoming.headers, body: body.toString() });
    const environment = incoming.headers.authorization ? signed() : { event: {} };
    const answer =
      (await hooks.before?.(method, url)) ??
      (await api.app.request(
        `http://${host}${url}`,
        {
          method,
          headers: Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]) as [
            string,
            string,
          ][],
          ...(method === 'GET' ? {} : { body: new Uint8Array(body) }),
        },
        environment,
      ));
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
    outgoing.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const url = `http://${host}:${(server.address() as AddressInfo).port}`;
  const dir = mkdtempSync(join(tmpdir(), 'nanny-cli-'));
  const ran: { program: string; args: readonly string[]; env: Record<string, string | undefined> }[] = [];

  async function run(argv: readonly string[], overrides: Partial<World> = {}): Promise<Ran> {
    const out: string[] = [];
    const err: string[] = [];
    const world: World = {
      env: { NANNY_URL: url, XDG_CACHE_HOME: join(dir, 'cache'), PATH: '/bin', ETCDCTL_USER: 'stale' },
      cwd: dir,
      homeDir: dir,
      repoDir: dir,
      output: { out: (line) => out.push(line), err: (line) => err.push(line) },
      fetch: globalThis.fetch,
      now: () => api.deps.clock.now(),
      sleep: async (ms) => api.advance(ms),
      randomId: () => crypto.randomUUID(),
      awsCredentials: async () => ({
        accessKeyId: 'AKIATEST',
        secretAccessKey: 'secret',
        sessionToken: 'token',
      }),
      etcdBinaries: async (version) => ({ etcdctl: `/etcd/${version}/etcdctl`, version }),
      async run(program, args, env) {
        ran.push({ program, args, env });
        return 7;
      },
      capture: async () => ({ code: 0, stdout: '', stderr: '' }),
      startLocalCloud: () => Promise.reject(new Error('not in this test')),
      startBackground: () => Promise.reject(new Error('not in this test')),
      report: () => {},
      interrupted: () => new Promise(() => {}),
      processAlive: () => false,
      signal: () => {},
      ...overrides,
    };
    const code = await runCli(argv, world);
    const text = out.join('\n');
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      // Not a JSON document: `json` stays undefined.
    }
    return { code, out: text, err: err.join('\n'), json };
  }

  return {
    api,
    url,
    dir,
    requests,
    hooks,
    ran,
    run,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export type CliWorld = Awaited<ReturnType<typeof createCliWorld>>;
