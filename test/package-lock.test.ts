import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Entry {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly resolved?: string;
}

const lock: { packages: Record<string, Entry> } = JSON.parse(
  readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'),
);

/**
 * A mirror that lacks a package of another platform makes `npm install` leave it out of the lock file without a word,
 * and then `npm ci` refuses the lock file everywhere.
 */
test('the lock file has the linter for every platform', () => {
  const wanted = Object.keys(lock.packages['node_modules/@biomejs/biome']?.optionalDependencies ?? {});
  expect(wanted.length).toBeGreaterThan(5);
  expect(wanted.filter((name) => lock.packages[`node_modules/${name}`] === undefined)).toEqual([]);
});

test('the lock file names no registry', () => {
  expect(Object.keys(lock.packages).filter((name) => lock.packages[name]!.resolved !== undefined)).toEqual(
    [],
  );
});
