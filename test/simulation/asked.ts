import { parseArgs } from 'node:util';

/** Always the same ones: a bug that nobody has just made must not stop everybody's landing. Exploring finds those. */
const ciSeeds = { first: 1, histories: 10_000 };

export interface Asked {
  readonly first: number;
  readonly histories: number;
  /** One history, told in full. */
  readonly single: boolean;
  readonly workers: number;
  readonly limitMs: number;
  /** The batch stops after so many. */
  readonly failures: number;
  readonly ci: boolean;
}

const usage = `npm run sim -- --seed N                       that one history, told in full
npm run sim -- --seed N --histories N         so many, of consecutive seeds
npm run sim -- --explore                      from a seed that nobody has chosen; 1,000, or --histories
npm run sim -- --ci                           the seeds that CI runs, and the result where CI adds them up

  --until-seconds S   begins no further history after so long
  --failures N        stops after so many failed ones; 3
  --workers N         processes at once; all cores`;

/** @returns what is to be run, or the sentence that its asker needs */
export function readAsked(
  args: readonly string[],
  now: number,
  cores: number,
): Asked | { say: string; code: 0 | 2 } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seed: { type: 'string' },
        histories: { type: 'string' },
        'until-seconds': { type: 'string' },
        failures: { type: 'string' },
        workers: { type: 'string' },
        explore: { type: 'boolean', default: false },
        ci: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { say: usage, code: 0 };
    const whole = (name: Exclude<keyof typeof values, 'explore' | 'ci' | 'help'>, least: number) => {
      const text = values[name];
      if (text === undefined) return undefined;
      if (!/^\d+$/.test(text) || Number(text) < least)
        throw new Error(`--${name} is a whole number from ${least} on, not ${JSON.stringify(text)}.`);
      return Number(text);
    };
    const seconds = whole('until-seconds', 1);
    const asked = whole('histories', 1);
    const otherwise = values.ci ? ciSeeds.histories : values.explore ? 1_000 : 1;
    return {
      first: whole('seed', 0) ?? (values.ci ? ciSeeds.first : now % 1_000_000_000),
      histories: asked ?? (seconds === undefined ? otherwise : Number.POSITIVE_INFINITY),
      single: values.seed !== undefined && asked === undefined && seconds === undefined,
      workers: whole('workers', 1) ?? cores,
      limitMs: (seconds ?? Number.POSITIVE_INFINITY) * 1_000,
      failures: whole('failures', 1) ?? 3,
      ci: values.ci,
    };
  } catch (error) {
    return { say: `${error instanceof Error ? error.message : String(error)}\n\n${usage}`, code: 2 };
  }
}
