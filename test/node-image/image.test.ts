import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nannyNodeFlags } from '../../node-image/bundle.ts';

test('the image runs the nanny with the flags that its memory budget counts on', () => {
  const dockerfile = readFileSync(new URL('../../node-image/Dockerfile', import.meta.url), 'utf8');
  const entryPoint = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? '[]';
  expect(JSON.parse(entryPoint)).toEqual(['node', ...nannyNodeFlags, '/opt/nanny/nanny.mjs']);
});
