import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const folders = ['bin', 'lib', 'lambdas', 'node-image', 'local', 'console', 'bench', 'test', 'examples'];

function sources(folder: string): string[] {
  const path = join(root, folder);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .map((file) => join(folder, file));
}

const files = folders.flatMap(sources);
const imported = (file: string) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/^\s*(?:import|export)\b[^;]*?from\s+'([^']+)'/gm)].map(
    (match) => (match[1]!.startsWith('.') ? relative(root, join(root, file, '..', match[1]!)) : match[1]!),
  );

test('core and every plan import nothing but core and zod', () => {
  const pure = files.filter(
    (file) => file.startsWith('lambdas/core/') || /^lambdas\/.*\/plan\.ts$/.test(file),
  );
  expect(pure.length).toBeGreaterThan(5);
  const bad = pure.flatMap((file) =>
    imported(file)
      .filter((target) => target !== 'zod' && !target.startsWith('lambdas/core/'))
      .map((target) => `${file} imports ${target}`),
  );
  expect(bad).toEqual([]);
});

test('@aws-sdk is imported only by adapters, the local cloud, the node image and its tools', () => {
  const allowed = /^(lambdas\/adapters|local|node-image|bin\/cli|test|bench)\//;
  const bad = files
    .filter((file) => !allowed.test(file))
    .filter((file) => imported(file).some((target) => target.startsWith('@aws-sdk/')));
  expect(bad).toEqual([]);
});

test('nothing outside local/ asks whether it runs on the local cloud', () => {
  const bad = files
    .filter((file) => /^(lambdas|lib|node-image)\//.test(file))
    .filter((file) => /if\s*\(\s*!?(is)?local\b/i.test(readFileSync(join(root, file), 'utf8')));
  expect(bad).toEqual([]);
});

test('nothing below an entry point reads process.env', () => {
  const entry = /(^bin\/(app|nanny)\.ts$|\/(handler|main|run)\.ts$|^test\/|^bench\/)/;
  const bad = files
    .filter((file) => !entry.test(file))
    .filter((file) => /process\.env\b/.test(readFileSync(join(root, file), 'utf8')));
  expect(bad).toEqual([]);
});

test('no room grows past 500 lines', () => {
  const bad = files.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 501);
  expect(bad).toEqual([]);
});
