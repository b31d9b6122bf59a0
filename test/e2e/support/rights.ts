import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Denial, type Right, rightName } from '../../../local/iam/usage.ts';

/** What the local clouds of one topic were asked: rights that were needed, and calls that were refused. */
export interface TopicRights {
  readonly rights: readonly Right[];
  readonly denials: readonly Denial[];
}

const folder = new URL('../../../.cache/test-results/rights', import.meta.url).pathname;
let current: string | undefined;

/** From here on everything belongs to this topic; what an earlier run of it has left is forgotten. */
export function beginTopic(topic: string | undefined): void {
  current = topic;
  if (topic !== undefined) rmSync(fileOf(topic), { force: true });
}

/** Adds to what the topic's other clouds, or other starts of the same cloud, have asked. Without a topic it is nobody's. */
export function noteRights(noted: TopicRights): void {
  if (current === undefined) return;
  const before = existsSync(fileOf(current)) ? readTopic(current) : { rights: [], denials: [] };
  const unique = <T>(items: readonly T[], name: (item: T) => string): T[] => [
    ...new Map(items.map((item) => [name(item), item])).values(),
  ];
  mkdirSync(folder, { recursive: true });
  const all: TopicRights = {
    rights: unique([...before.rights, ...noted.rights], rightName),
    denials: unique([...before.denials, ...noted.denials], (denial) => JSON.stringify(denial)),
  };
  writeFileSync(fileOf(current), `${JSON.stringify(all, null, 1)}\n`);
}

/** Topics that were run on this machine since their results were last thrown away. */
export const topicsNoted = (): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .map((file) => file.replace(/\.json$/, ''))
        .sort()
    : [];

export const readTopic = (topic: string): TopicRights => JSON.parse(readFileSync(fileOf(topic), 'utf8'));

const fileOf = (topic: string): string => join(folder, `${topic}.json`);
