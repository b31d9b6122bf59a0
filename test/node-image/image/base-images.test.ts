import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { baseImages, decide, fits, recipeOf, standInLabel } from '../../../node-image/base-images/recipes.ts';

const dockerfile = readFileSync(new URL('../../../node-image/Dockerfile', import.meta.url), 'utf8');

test('every image that the Dockerfile begins with has a recipe, and stages are not taken for images', () => {
  const recipes = baseImages(dockerfile).map(recipeOf);
  expect(recipes.map(({ kind }) => kind).sort()).toEqual(['go', 'node']);
  expect(new Set(recipes.map(({ suite }) => suite)).size).toBe(1);
});

test('an image that nothing here can stand in for is refused by name', () => {
  expect(() => recipeOf('postgres:18')).toThrow(/postgres:18/);
});

test('a stand-in never takes the place of a real image, and is made again only when its content changes', () => {
  expect(decide(undefined, 'go 1.26.8')).toBe('make');
  expect(decide({ 'org.opencontainers.image.vendor': 'somebody' }, 'go 1.26.8')).toBe('real');
  expect(decide({}, 'go 1.26.8')).toBe('real');
  expect(decide({ [standInLabel]: 'go 1.26.8' }, 'go 1.26.8')).toBe('current');
  expect(decide({ [standInLabel]: 'go 1.26.7' }, 'go 1.26.8')).toBe('make');
});

test('a version is promised by its first numbers', () => {
  expect(fits('1.26', '1.26.8')).toBe(true);
  expect(fits('24', '24.21.0')).toBe(true);
  expect(fits('1.2', '1.26.8')).toBe(false);
});
