import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { repoDir } from './cloud.ts';

export const recoveryRowSchema = z.strictObject({
  topic: z.string(),
  scenario: z.string(),
  /** What a reader needs to know to compare: spec settings that the times hang on. */
  settings: z.string(),
  /** Fault → first word of it on the timeline. */
  detectionMs: z.int(),
  /** From there → all members vote and serve again, as etcd itself says. */
  repairMs: z.int(),
  /** Longest time without an acknowledged write meanwhile. */
  longestGapMs: z.int(),
  /** Writes that failed twice. */
  failed: z.int(),
  /** Acknowledged writes that were not there at the end. */
  lost: z.int(),
  /** Acknowledged meanwhile. */
  writes: z.int(),
  at: z.iso.datetime(),
  machine: z.string(),
});

export type RecoveryRow = z.infer<typeof recoveryRowSchema>;

const folder = join(repoDir, '.cache', 'recovery-times');
const fileOf = (topic: string, scenario: string): string =>
  join(folder, `${topic}-${scenario.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.json`);

export const thisMachine = (): string => {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
};

export function saveRow(row: RecoveryRow): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(fileOf(row.topic, row.scenario), `${JSON.stringify(row, null, 2)}\n`);
}

/** Undefined: it was never measured here. */
export function readRow(topic: string, scenario: string): RecoveryRow | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(topic, scenario), 'utf8');
  } catch {
    return undefined;
  }
  return recoveryRowSchema.parse(JSON.parse(text));
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 9_950 ? 2 : 1)} s`;

export const rowHeadings = ['what', 'detection', 'repair', 'longest write gap', 'writes', 'failed', 'lost'];

export const cellsOf = (row: RecoveryRow): string[] => [
  `${row.scenario}${row.settings === '' ? '' : ` (${row.settings})`}`,
  seconds(row.detectionMs),
  seconds(row.repairMs),
  seconds(row.longestGapMs),
  String(row.writes),
  String(row.failed),
  String(row.lost),
];
