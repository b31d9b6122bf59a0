import { defineConfig } from 'vitest/config';
import { patience } from './support/runtime.ts';

/** Real etcd on the local cloud. One file at a time: the machine's cores belong to the clusters under test. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/e2e/**/*.e2e.test.ts'],
    setupFiles: ['test/e2e/support/name-topic.ts'],
    testTimeout: 300_000 * patience,
    hookTimeout: 300_000 * patience,
    fileParallelism: false,
    // Tests of one file that say so run beside each other.
    maxConcurrency: 8,
    reporters: ['verbose', ['json', { outputFile: '.cache/test-results/e2e.json' }]],
  },
});
