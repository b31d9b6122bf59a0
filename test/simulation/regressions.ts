import { readdirSync, readFileSync } from 'node:fs';
import type { Script } from './script.ts';

export interface Regression {
  /** What is at stake. */
  readonly story: string;
  readonly script: Script;
}

const folder = new URL('regressions/', import.meta.url);

/**
 * Histories that failed once, or that show whether the judge would notice. Kept as they were drawn and shrunk, not as
 * seeds: what a seed stands for changes with what the simulation learns to do.
 */
export const regressions: readonly Regression[] = readdirSync(folder)
  .sort()
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Regression);
