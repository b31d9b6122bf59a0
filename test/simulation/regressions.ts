import { drawScript, type Script } from './script.ts';

export interface Regression {
  /** What went wrong there once. */
  readonly story: string;
  readonly script: Script;
}

/** Histories that failed once, smallest form first. A seed stays as long as the drawing of scripts stays the same. */
export const regressions: readonly Regression[] = [];

/** A seed's history with only some of its faults and wishes. */
export function only(seed: number, faults: readonly number[], wishes: readonly number[] = []): Script {
  const script = drawScript(seed);
  return {
    ...script,
    faults: script.faults.filter(({ id }) => faults.includes(id)),
    wishes: script.wishes.filter(({ id }) => wishes.includes(id)),
  };
}
