/** Runs before each test file: what the file's clouds were asked is written down under the file's topic. */
import { expect } from 'vitest';
import { beginTopic } from './rights.ts';

beginTopic(/([\w-]+)\.e2e\.test\.ts$/.exec(expect.getState().testPath ?? '')?.[1]);
