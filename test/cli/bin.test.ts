import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const entry = fileURLToPath(new URL('../../bin/nanny.mjs', import.meta.url));
const run = promisify(execFile);

/** Makes a Node believe that it is an old one. */
const old =
  "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.0'}})";

test('nanny.mjs runs the CLI under this Node', async () => {
  const { stdout } = await run(process.execPath, [entry, '--help']);
  expect(stdout).toMatch(/^Usage: nanny/);
});

test('nanny.mjs started by an old Node goes on in the project’s own, exit code and arguments included', async () => {
  const { stdout } = await run(process.execPath, ['--import', old, entry, 'create', '--help']);
  expect(stdout).toMatch(/^Usage: nanny create/);
  const failed = await run(process.execPath, ['--import', old, entry, 'create', '--members', 'x y']).catch(
    (error) => error,
  );
  expect(failed.code).toBe(2);
  expect(failed.stderr).toMatch(/argument 'x y' is invalid/);
});
