import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { healthCheckScript } from '../../lib/health-check.ts';
import { ports } from '../../lib/ports.ts';
import { nannyNodeFlags } from '../../node-image/bundle.ts';

const dockerfile = readFileSync(new URL('../../node-image/Dockerfile', import.meta.url), 'utf8');
const words = (line: RegExp): unknown => JSON.parse(line.exec(dockerfile)?.[1] ?? '[]');

test('the image runs the nanny with the flags that its memory budget counts on', () => {
  expect(words(/^ENTRYPOINT (\[.*\])$/m)).toEqual(['node', ...nannyNodeFlags, '/opt/nanny/nanny.mjs']);
});

test('the image looks after its health as the task definitions do', () => {
  expect(words(/^HEALTHCHECK .* CMD (\[.*\])$/m)).toEqual(['node', '-e', healthCheckScript(ports.admin)]);
});

test('what is run while the image is built runs on the builder: the last stage only copies', () => {
  const stages = dockerfile.split(/^FROM /m).slice(1);
  expect(stages.at(-1)).not.toMatch(/^RUN /m);
  for (const stage of stages.slice(0, -1)) expect(stage).toMatch(/^(--platform=\$BUILDPLATFORM|packages) /);
});
