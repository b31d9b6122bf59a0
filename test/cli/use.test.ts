import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CliWorld, createCliWorld } from './world.ts';

let world: CliWorld;
beforeEach(async () => {
  world = await createCliWorld();
});
afterEach(() => world.close());

describe('wrong use is exit code 2 and a sentence', () => {
  test.each([
    [[], /Usage: nanny/],
    [['frobnicate'], /Unknown command 'frobnicate'.*nanny --help/],
    [['create'], /Missing required argument 'tenant'.*nanny create --help/],
    [['create', 'acme', '--members', 'three'], /must be a whole number/],
    [['create', 'acme', '--colour', 'red'], /Unknown option '--colour'/],
    [['create', 'acme', '--quota', '2TB'], /size in MiB or GiB/],
    [['create', 'acme', 'bravo'], /Too many arguments/],
    [['create', 'Acme', '--members', '4'], /2 things are wrong.*tenantId.*spec\.members must be 1, 3 or 5/],
    [['credentials', 'acme'], /Required option '--user <name>'/],
    [['credentials', 'acme', '--user', 'a', '--ttl', 'soon'], /such as 30m, 24h or 7d/],
    [['connect', 'acme', '--format', 'xml'], /Allowed choices are env, json/],
    [['list', '--url', 'nowhere'], /"nowhere" is not a URL/],
    [['local'], /Say which command|Usage/],
    [['local', 'start', '--port', '70000'], /port from 1 to 65535/],
  ] as [string[], RegExp][])('%j', async (argv, message) => {
    const { code, out, err } = await world.run(argv);
    expect(code).toBe(2);
    expect(`${err}\n${out}`).toMatch(message);
    expect(`${err}${out}`).not.toMatch(/\.ts:\d+/);
  });
});

describe('--json prints one document on stdout and nothing else', () => {
  test.each([
    [['list'], 0],
    [['create', 'acme'], 0],
    [['versions'], 0],
    [['get', 'nobody'], 1],
    [['frobnicate'], 2],
    [['delete', 'acme'], 2],
    [['create', 'Acme'], 2],
    [['local', 'status'], 1],
    [['local', 'stop'], 0],
  ] as [string[], number][])('%j', async (argv, code) => {
    const ran = await world.run([...argv, '--json']);
    expect(ran.code).toBe(code);
    expect(ran.json).toBeTypeOf('object');
    if (code !== 0 && argv[0] !== 'local')
      expect(ran.json.error).toMatchObject({ code: expect.any(String), message: expect.any(String) });
  });

  test('problems of a refused request come as a list', async () => {
    const { json } = await world.run(['create', 'Acme', '--members', '4', '--json']);
    expect(json.error.problems.map(({ field }: { field: string }) => field)).toEqual([
      'tenantId',
      'spec.members',
    ]);
  });
});

describe('help', () => {
  test('every command has one, with examples', async () => {
    const all = (await world.run(['--help'])).out;
    const commands = [...all.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name]) => name!);
    expect(commands.length).toBeGreaterThanOrEqual(11);
    for (const command of commands) {
      const { code, out } = await world.run([command, '--help']);
      expect(code).toBe(0);
      expect(out).toMatch(/Examples:\n {2}\$ nanny/);
    }
    for (const command of ['start', 'status', 'stop']) {
      expect((await world.run(['local', command, '--help'])).out).toMatch(/\$ nanny local/);
    }
  });
});

describe('where the CLI looks', () => {
  test('nothing there is a sentence that says what to do', async () => {
    const { code, err } = await world.run(['list', '--url', 'http://127.76.0.11:4769']);
    expect(code).toBe(1);
    expect(err).toBe(
      'Nothing answers at http://127.76.0.11:4769; start the local cloud with "npm start", ' +
        'or point --url or NANNY_URL at a deployment.',
    );
  });

  test('without NANNY_URL it is the local cloud of --state, with its credentials', async () => {
    const state = join(world.dir, 'second');
    mkdirSync(state);
    const file = { url: world.url, pid: 1, port: 4760, accessKeyId: 'AKIALOCAL', secretAccessKey: 's' };
    writeFileSync(join(state, 'cloud.json'), JSON.stringify(file));
    expect((await world.run(['list', '--state', 'second'])).code).toBe(0);
    expect(world.requests.at(-1)!.headers.authorization).toContain('AKIALOCAL');
    mkdirSync(join(world.dir, '.local'));
    writeFileSync(join(world.dir, '.local/cloud.json'), JSON.stringify(file));
    expect((await world.run(['list'], { env: {} })).code).toBe(0);
  });

  test('a local cloud elsewhere says itself where its credentials are', async () => {
    const state = join(world.dir, 'far');
    mkdirSync(state);
    writeFileSync(
      join(state, 'cloud.json'),
      JSON.stringify({ url: world.url, port: 4760, accessKeyId: 'AKIAFAR', secretAccessKey: 's' }),
    );
    world.hooks.before = (_method, url) =>
      url === '/_local/status' ? Response.json({ stateDir: state, pid: 1 }) : undefined;
    expect((await world.run(['list', '--url', world.url], { env: {} })).code).toBe(0);
    expect(world.requests.at(-1)!.headers.authorization).toContain('AKIAFAR');
  });

  test('a deployment is signed for in the region of its URL, by the default AWS chain', async () => {
    const seen: string[] = [];
    const fetch = (async (_url: URL, init: { headers: Record<string, string> }) => {
      seen.push(init.headers.authorization!);
      return Response.json({ items: [] });
    }) as unknown as typeof globalThis.fetch;
    const url = 'https://abc123.execute-api.eu-central-1.amazonaws.com';
    expect((await world.run(['list', '--url', url], { fetch })).code).toBe(0);
    expect(seen[0]).toMatch(/AKIATEST\/\d{8}\/eu-central-1\/execute-api/);
  });

  test('no AWS credentials, and credentials that are refused, are sentences', async () => {
    const none = await world.run(['list'], { awsCredentials: () => Promise.reject(new Error('none')) });
    expect(none.code).toBe(1);
    expect(none.err).toMatch(/^There are no AWS credentials .*aws sso login/);
    world.hooks.before = () => Response.json({ message: 'Forbidden' }, { status: 403 });
    const refused = await world.run(['list']);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/refuses these AWS credentials: Forbidden/);
  });

  test('a token in NANNY_TOKEN goes instead of a signature, and no AWS credentials are asked for', async () => {
    const env = { NANNY_URL: world.url, NANNY_TOKEN: 'abc.def.ghi' };
    const awsCredentials = () => Promise.reject(new Error('asked for'));
    expect((await world.run(['list'], { env, awsCredentials })).code).toBe(0);
    expect(world.requests.at(-1)?.headers.authorization).toBe('Bearer abc.def.ghi');
    expect((await world.run(['create', 'acme'], { env, awsCredentials })).code).toBe(0);
    expect(world.requests.at(-1)?.headers).toHaveProperty('idempotency-key');
    world.hooks.before = () => Response.json({ message: 'Unauthorized' }, { status: 401 });
    const refused = await world.run(['list'], { env, awsCredentials });
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/refuses the token in NANNY_TOKEN: Unauthorized\. It may have expired/);
  });
});
