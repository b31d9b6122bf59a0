import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line of a runbook that can be run. */
export interface Command {
  /** Without what is said of it. */
  readonly text: string;
  /** What it prints, as the runbook says: whatever stands in quotes behind `#`. */
  readonly says: readonly string[];
  /** The runbook says that it fails. */
  readonly fails: boolean;
}

/** What the fenced blocks of a runbook have people do. */
export interface Runbook {
  readonly name: string;
  readonly see: readonly Command[];
  /** Of "Tried": how the local cloud is brought into the fault. */
  readonly fault: readonly Command[];
  /** What of "Do" ends this fault. */
  readonly back: readonly Command[];
  readonly over: readonly Command[];
}

const folder = new URL('../../../docs/runbooks', import.meta.url).pathname;

export const runbooks = (): string[] =>
  readdirSync(folder)
    .map((file) => file.replace('.md', ''))
    .filter((name) => name !== 'README');

export const textOf = (name: string): string => readFileSync(join(folder, `${name}.md`), 'utf8');

export function runbook(name: string): Runbook {
  // From one bold word at the begin of a line to the next.
  const parts = textOf(name).split(/^(?=\*\*(?:Means|See|Do|Over|Tried)\b)/m);
  const section = (title: string): Command[][] =>
    [...(parts.find((part) => part.startsWith(`**${title}`)) ?? '').matchAll(/^```\n([\s\S]*?)^```$/gm)].map(
      ([, block = '']) => commandsIn(block),
    );
  const [fault = [], back = []] = section('Tried');
  return { name, see: section('See').flat(), fault, back, over: section('Over').flat() };
}

const commandsIn = (block: string): Command[] =>
  block
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, text = '', said = ''] = /^(.*?)(?:\s+#\s(.*))?$/.exec(line) ?? [];
      return {
        text,
        says: [...said.matchAll(/"([^"]+)"/g)].map(([, words]) => words!),
        fails: /^fails\b/.test(said),
      };
    });
