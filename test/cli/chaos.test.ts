import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CliWorld, createCliWorld } from './world.ts';

/** What a local cloud answers below /_local/, with a record of what it was asked. */
let asked: unknown[] = [];
let local: Server;
let url: string;
let world: CliWorld;
beforeEach(async () => {
  asked = [];
  world = await createCliWorld();
  local = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const answer = (status: number, document: unknown) =>
      outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document));
    if (incoming.url === '/_local/status') return answer(200, { stateDir: world.dir, pid: 1, url });
    if (incoming.url !== '/_local/chaos') return answer(404, { message: 'no' });
    if (incoming.method === 'GET') {
      const since = '2026-11-22T11:59:00.000Z';
      return answer(200, {
        hurts: [{ what: 'cut', target: 'm00000001', how: 'process freeze', since }],
        rules: [{ id: 1, match: { service: 'ecs' }, action: { type: 'deny' }, struck: 2 }],
      });
    }
    asked.push(JSON.parse(text));
    if (text.includes('mnobody')) return answer(404, { message: 'No task of a member "mnobody" is there.' });
    return answer(200, { told: 'It hurts.' });
  });
  await new Promise<void>((resolve) => local.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(local.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await world.close();
  local.closeAllConnections();
  await new Promise((resolve) => local.close(resolve));
});
const chaos = (...args: string[]) => world.run(['chaos', ...args, '--url', url]);

test.each([
  [['kill-member', 'm00000001'], { do: 'kill-member', member: 'm00000001' }],
  [['stop-task', 'm00000001', '--hard'], { do: 'stop-task', member: 'm00000001', hard: true }],
  [['cut', 'm00000001'], { do: 'cut', member: 'm00000001' }],
  [['cut', '--zone', 'us-east-1a'], { do: 'cut-zone', zone: 'us-east-1a' }],
  [['slow', 'm00000001', '--percent', '60'], { do: 'slow', member: 'm00000001', share: 0.6 }],
  [['fill-disk', 'm00000001'], { do: 'fill-disk', member: 'm00000001' }],
  [['corrupt', 'm00000001', '--wal'], { do: 'corrupt', member: 'm00000001', what: 'wal' }],
  [['hold-zone', 'us-east-1b'], { do: 'hold-zone', zone: 'us-east-1b', at: 'launch' }],
  [['deny', '--service', 'ecs', '--times', '2'], { do: 'deny', service: 'ecs', times: 2 }],
  [['deny', '--resource', 'c1/acme/'], { do: 'deny', resource: 'c1/acme/' }],
  [['flip-backup', 'acme/1/full/'], { do: 'flip-backup', key: 'acme/1/full/' }],
  [['lose-backup', 'acme/1/full/'], { do: 'lose-backup', key: 'acme/1/full/' }],
  [['stop-all', 'acme', '--lose-disks'], { do: 'stop-all', tenant: 'acme', loseDisks: true }],
  [['slow-s3', '--ms', '50'], { do: 'slow-s3', ms: 50 }],
  [['cut-s3', '--after-bytes', '9', '--times', '1'], { do: 'cut-s3', afterBytes: 9, times: 1 }],
  [['heal'], { do: 'heal' }],
  [['heal', '--zone', 'us-east-1a'], { do: 'heal', zone: 'us-east-1a' }],
  [['clear'], { do: 'clear' }],
  [['clear', '--tenant', 'acme'], { do: 'clear', tenant: 'acme' }],
  [['deny', '--service', 'ecs', '--tenant', 'acme'], { do: 'deny', service: 'ecs', tenant: 'acme' }],
  [['silence', 'EveryMinute'], { do: 'silence', rule: 'EveryMinute' }],
  [['hold-messages', 'Scale'], { do: 'hold-messages', function: 'Scale' }],
  [['usurp', 'm00000001'], { do: 'usurp', member: 'm00000001' }],
])('chaos %j asks the local cloud for it and prints what it says', async (args, body) => {
  const { code, out } = await chaos(...args);
  expect([code, out, asked]).toEqual([0, 'It hurts.', [body]]);
});

test('status shows what is hurt, and how it was done', async () => {
  const { out } = await chaos('status');
  expect(out).toMatch(/^cut +m00000001 +process freeze +1 min ago$/m);
  expect(out).toMatch(/^deny +ecs +struck 2 times/m);
  expect((await chaos('status', '--json')).json.hurts).toHaveLength(1);
});

describe('is refused with a sentence, and nothing is sent', () => {
  test('to a deployment that is not on this machine', async () => {
    const fetched: string[] = [];
    const fetch = async (input: Parameters<typeof globalThis.fetch>[0]) => {
      fetched.push(String(input));
      return new Response('{}');
    };
    const real = 'https://abc.execute-api.eu-west-1.amazonaws.com';
    const { code, err } = await world.run(['chaos', 'clear', '--url', real], { fetch });
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^Chaos is for the local cloud only, and https:\/\/abc/),
    ]);
    expect(fetched).toEqual([]);
    const byVariable = await world.run(['chaos', 'clear'], { fetch, env: { NANNY_URL: real } });
    expect([byVariable.code, fetched]).toEqual([1, []]);
  });

  test('to something on this machine that is no local cloud', async () => {
    const { code, err } = await world.run(['chaos', 'kill-member', 'm00000001']);
    expect([code, err]).toEqual([1, expect.stringMatching(/is no local cloud: nothing was done/)]);
    expect(world.requests.filter(({ method }) => method === 'POST')).toEqual([]);
  });
});

test("a refusal is the local cloud's own sentence", async () => {
  const { code, err } = await chaos('cut', 'mnobody');
  expect([code, err]).toEqual([1, 'No task of a member "mnobody" is there.']);
});

test.each([[['cut']], [['cut', 'm00000001', '--zone', 'a']], [['deny']]])('%j is wrong use', async (args) => {
  expect([(await chaos(...args)).code, asked]).toEqual([2, []]);
});
