import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { LocalFunction } from '../../local/services/lambda/function.ts';

/** Tells how many workers were starting while this one started, and how many starts its thread's place has seen. */
const source = `
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
const folder = process.env.FOLDER;
const mark = folder + '/starting-' + Math.random();
writeFileSync(mark, '');
let most = 0;
for (const end = Date.now() + 150; Date.now() < end; await new Promise((go) => setTimeout(go, 5)))
  most = Math.max(most, readdirSync(folder).filter((name) => name.startsWith('starting-')).length);
rmSync(mark);
export const handler = async (event) => {
  await new Promise((go) => setTimeout(go, event.ms));
  return { most };
};
`;

const folder = mkdtempSync(join(tmpdir(), 'nanny-starts-'));
const file = join(folder, 'index.mjs');
writeFileSync(file, source);
let tested: LocalFunction;
afterEach(async () => {
  await tested?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('many calls at once start no more workers at the same time than there are cores, and all are answered', async () => {
  tested = new LocalFunction(
    {
      name: 'f',
      arn: 'arn:f',
      boot: { file, exportName: 'handler' },
      timeoutMs: 5_000,
      memoryMiB: 128,
      logGroup: '/aws/lambda/f',
      environment: { FOLDER: folder },
    },
    {
      credentials: () => ({
        accessKeyId: 'a',
        secretAccessKey: 's',
        sessionToken: 't',
        expiration: new Date(Date.now() + 1e6),
      }),
      revoke: () => {},
      onLine: () => {},
    },
  );
  const results = await Promise.all(Array.from({ length: 12 }, () => tested.invoke({ ms: 400 })));
  expect(results.filter(({ ok }) => !ok)).toEqual([]);
  const most = results.map((result) => (result.ok ? (result.payload as { most: number }).most : 0));
  expect(Math.max(...most)).toBeLessThanOrEqual(availableParallelism());
  // Calls that overlap still get a worker each, as at AWS.
  expect(results.length).toBe(12);
});
