import { runHistory } from './history.ts';
import type { Script } from './script.ts';

/** Leaves out faults and wishes, one by one, as long as the history still fails. */
export async function shrink(script: Script): Promise<Script> {
  let smallest = script;
  for (const part of ['faults', 'wishes'] as const) {
    for (const { id } of script[part]) {
      const smaller = { ...smallest, [part]: smallest[part].filter((each) => each.id !== id) };
      if ((await runHistory(smaller)).problems.length > 0) smallest = smaller;
    }
  }
  return smallest;
}
