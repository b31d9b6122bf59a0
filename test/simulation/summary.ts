import type { Result } from './history.ts';

/** What is kept of one of thousands. */
export interface Summary
  extends Pick<Result, 'problems' | 'virtualSeconds' | 'looks' | 'writes' | 'incarnations'> {
  readonly seed: number;
  /** What was done and refused in it, and how often: that the simulation gets to what it is meant to show. */
  readonly happened: Readonly<Record<string, number>>;
}

export async function summaryOf(result: Result): Promise<Summary> {
  const { script, problems, virtualSeconds, looks, writes, incarnations } = result;
  const happened: Record<string, number> = {};
  const count = (what: string): void => {
    happened[what] = (happened[what] ?? 0) + 1;
  };
  for (const { kind, steps, state } of await result.operations()) {
    count(`operation ${kind} ${state}`);
    for (const { name, outcome } of steps) if (outcome === 'done') count(`step ${name}`);
  }
  for (const { rule } of await result.events()) if (rule !== undefined) count(`refused by ${rule}`);
  for (const { kind } of script.faults) count(`fault ${kind}`);
  for (const { kind } of script.wishes) count(`wish ${kind}`);
  if ((script.tenants ?? 1) > 1) count('several tenants');
  return { seed: script.seed, problems, virtualSeconds, looks, writes, incarnations, happened };
}

export const isFailed = ({ problems }: Pick<Summary, 'problems'>): boolean => problems.length > 0;

/** In how many histories each thing happened. */
export function happenings(summaries: readonly Summary[]): [what: string, histories: number][] {
  const counts = new Map<string, number>();
  for (const { happened } of summaries) {
    for (const what of Object.keys(happened)) counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
