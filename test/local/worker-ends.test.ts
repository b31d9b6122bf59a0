import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'nanny-ends-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Never without a key under way: the moment at which Node 24 aborts the process that ends the thread. */
const functionSource = `
export const handler = async () => {
  const one = () => crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  for (;;) await Promise.all(Array.from({ length: 8 }, one));
};
`;
const hostSource = (worker: string, file: string) => `
import { FunctionWorker } from ${JSON.stringify(worker)};
let crashed = 0;
for (let round = 0; round < 25; round++) {
  const worker = new FunctionWorker({
    boot: { file: ${JSON.stringify(file)}, exportName: 'handler' }, environment: {}, memoryMiB: 128, onLine() {}, onEnd() {},
  });
  await worker.started;
  const result = worker.invoke({ event: {}, context: {}, deadline: 0 }, 60_000);
  await new Promise((go) => setTimeout(go, 5 + Math.random() * 10));
  worker.crash();
  if ((await result).error.errorType === 'Runtime.ExitError') crashed++;
}
console.log(crashed);
`;

test('a function that crashes while it makes keys takes nothing else with it', async () => {
  const file = join(folder, 'function.mjs');
  writeFileSync(file, functionSource);
  const host = join(folder, 'host.mjs');
  const worker = new URL('../../local/services/lambda/worker.ts', import.meta.url);
  writeFileSync(host, hostSource(worker.href, file));
  const { stdout } = await promisify(execFile)(process.execPath, [host]);
  expect(stdout.trim()).toBe('25');
});
