import { defineConfig } from 'vitest/config';

/** Fast tests: no Docker, no etcd. Synthesizing the CDK app loads aws-cdk-lib (about 4 s), hence the time-outs. */
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'node_modules/**'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: ['default', ['json', { outputFile: '.cache/test-results/fast.json' }]],
  },
});
