import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundleHandler } from '../../lib/constructs/bundle.ts';

const root = path.resolve(import.meta.dirname, '../..');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'etcd-nanny-entry-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const node = (args: string[], env: Record<string, string> = {}) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, args, { cwd: folder, env: { ...env, PATH: '' } }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });

it('answers a wrong setting with one message, not with a stack', async () => {
  const CDK_CONTEXT_JSON = JSON.stringify({ nodeImageUrl: 'x', cells: 'many' });
  const { code, stderr } = await node([path.join(root, 'bin/app.ts')], {
    CDK_CONTEXT_JSON,
    CDK_OUTDIR: folder,
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/nodeImageUrl: unknown key/);
  expect(stderr).toMatch(/cells: /);
  expect(stderr).not.toMatch(/^\s+at /m);
});

/** The SDK's documents have `from "` in their texts too. */
const imported = /\b(?:import|export)\b[\w\s{},*$]*\bfrom\s*"([^"./][^"]*)"/g;

it.each(['api', 'join', 'create', 'delete', 'sweep'])(
  'bundles %s so that it loads anywhere and needs nothing but Node',
  async (name) => {
    const file = path.join(folder, name, 'index.mjs');
    bundleHandler(path.join(root, 'lambdas', name, 'handler.ts'), file);
    const imports = [...(await readFile(file, 'utf8')).matchAll(imported)].map((match) => match[1]);
    const { builtinModules } = await import('node:module');
    expect(imports).not.toEqual([]);
    expect(imports.filter((name) => !builtinModules.includes(String(name).replace(/^node:/, '')))).toEqual(
      [],
    );
    // Without its environment the handler says what is missing: it was loaded as far as its own first line.
    const { stderr } = await node(['--enable-source-maps', file]);
    expect(stderr).toMatch(/TABLE_NAME/);
    expect(stderr).toMatch(/handler\.ts/);
  },
);
