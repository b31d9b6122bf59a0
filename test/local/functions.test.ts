import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi } from './support/signed.ts';
import { httpApi, lambda, type SmallCloud, startSmallCloud, until } from './support/small-cloud.ts';

const port = 4721;
const source = `
let count = 0;
export const handler = async (event, context) => {
  const command = JSON.parse(event.body ?? '{}');
  if (command.log) console.log(command.log);
  switch (command.do) {
    case 'env': return { env: process.env, argv: process.execArgv, remaining: context.getRemainingTimeInMillis(), context };
    case 'count': return { count: ++count };
    case 'throw': throw new TypeError('no such thing');
    case 'reject': void Promise.reject(new Error('nobody listens')); return new Promise(() => {});
    case 'exit': process.exit(3);
    case 'hang': return new Promise(() => {});
    case 'spin': for (;;);
    case 'slow': await new Promise((resolve) => setTimeout(resolve, 300)); return { slow: true };
    case 'status': return { statusCode: 418, headers: { 'x-a': 'b' }, body: 'tea', isBase64Encoded: false };
  }
};
`;
let small: SmallCloud;

beforeAll(async () => {
  small = await startSmallCloud(
    port,
    { worker: source, single: source },
    {
      ...lambda('Worker', {
        Timeout: 1,
        Environment: {
          Variables: {
            GREETING: 'hello',
            API: { 'Fn::Sub': 'https://abcdefghij.execute-api.$' + '{AWS::Region}.amazonaws.com/v1/' },
          },
        },
      }),
      ...httpApi('Worker', ['$default']),
      ...lambda('Single', { ReservedConcurrentExecutions: 1 }),
    },
  );
});
afterAll(() => small?.stop());

const command = (what: object) =>
  callApi(`${small.cloud.apiUrl}/x`, {
    method: 'POST',
    body: JSON.stringify(what),
    credentials: small.cloud.credentials,
  });
const logs = () => {
  const directory = join(small.stateDir, 'logs');
  const file = readdirSync(directory).find((name) => name.includes('Worker'));
  return file ? readFileSync(join(directory, file), 'utf8') : '';
};

describe('a function', () => {
  it('sees its own environment and nothing of this process', async () => {
    process.env.SECRET_OF_THE_HOST = 'x';
    const { body } = await command({ do: 'env' });
    delete process.env.SECRET_OF_THE_HOST;
    expect(body.env).toMatchObject({
      GREETING: 'hello',
      API: `${small.cloud.url}/_api/abcdefghij/v1/`,
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: small.cloud.url,
      AWS_LAMBDA_FUNCTION_NAME: expect.stringMatching(/^app-Worker-/),
      AWS_SESSION_TOKEN: expect.any(String),
    });
    for (const name of ['PATH', 'HOME', 'NODE_OPTIONS', 'SECRET_OF_THE_HOST', 'VITEST'])
      expect(body.env).not.toHaveProperty(name);
    expect(body.argv).toEqual([]);
    expect(body.remaining).toBeGreaterThan(0);
    expect(body.remaining).toBeLessThanOrEqual(1000);
    expect(body.context.awsRequestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('keeps its module between calls, as a warm function does', async () => {
    const first = (await command({ do: 'count' })).body.count;
    expect((await command({ do: 'count' })).body.count).toBe(first + 1);
  });

  it('gets a worker more for every call that overlaps', async () => {
    const started = Date.now();
    const answers = await Promise.all(Array.from({ length: 4 }, () => command({ do: 'slow' })));
    expect(answers.every(({ body }) => body.slow)).toBe(true);
    // One worker would need 1200 ms for its waits alone, and the fourth call would have timed out before.
    expect(Date.now() - started).toBeLessThan(5000);
  });

  it('answers with the status, headers and body it chose', async () => {
    expect(await command({ do: 'status' })).toMatchObject({
      status: 418,
      body: 'tea',
      headers: { 'x-a': 'b' },
    });
  });

  it.each([
    ['throw', /TypeError/, 500],
    ['reject', /Runtime.UnhandledPromiseRejection/, 500],
    ['exit', /Runtime.ExitError/, 500],
    ['hang', /Task timed out after 1.00 seconds/, 503],
    ['spin', /Task timed out after 1.00 seconds/, 503],
  ])('that does "%s" fails its own call only, and the log says why', async (what, message, status) => {
    expect((await command({ do: what })).status).toBe(status);
    expect(logs()).toMatch(message);
    expect((await command({ do: 'status' })).status).toBe(418);
  });

  it('logs lines of JSON with the request they belong to', async () => {
    await command({ do: 'status', log: 'plain words' });
    const line = await until('the log line', () =>
      logs()
        .split('\n')
        .find((text) => text.includes('plain words')),
    );
    expect(JSON.parse(line)).toMatchObject({
      level: 'INFO',
      message: 'plain words',
      requestId: expect.any(String),
    });
  });
});
