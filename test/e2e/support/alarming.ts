import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TestCloud } from './cloud.ts';
import { follow, type Meant } from './follow.ts';
import { look, looksWaiting } from './look.ts';
import { runbook } from './runbook.ts';
import { until } from './until.ts';

export const deployment = 'etcd-nanny';

const patienceMs = 600_000;
/** What a person reads last follows the alarm within a look or two. */
const overMs = 120_000;

export interface Fault {
  /** Name of its runbook. */
  readonly runbook: string;
  /** Alarms that the fault turns on; the first is the runbook's. */
  readonly alarms: readonly string[];
  /** The alarm that pages for it. */
  readonly page: string;
  readonly meant: Meant;
  /** What the runbook's fault begins or ends with and no command does: a client that writes, time that passes. */
  readonly by?: () => Promise<unknown>;
  /** While it is on, before anything is done against it. */
  readonly meanwhile?: () => Promise<unknown>;
  /** After what the runbook says is to be done. */
  readonly backBy?: () => Promise<unknown>;
}

export interface Alarming {
  becomes(name: string, state: 'ALARM' | 'OK'): Promise<unknown>;
  /** Names of alarms that paged since the pages were counted last, in their order. */
  paged(): string[];
  /** From here on pages are counted. */
  count(): void;
  /** Alarms that were on at any time since then; those that page left out. */
  turnedOn(): string[];
  /**
   * The fault, its alarm, what the runbook has people see and do, and the alarm's end: with one page, whatever else the
   * fault turns on.
   */
  drive(fault: Fault): Promise<void>;
  /** What there is, for the report of a test that failed. */
  print(): void;
}

export function alarming(cloud: () => TestCloud): Alarming {
  let counted = { pages: 0, lines: 0 };
  const alarms = () => cloud().cloud.alarms;
  const subjects = () =>
    cloud()
      .cloud.pages.pages()
      .map(({ subject }) => subject);
  const turns = (): { time: string; alarm: string; to: string; reason: string }[] =>
    readFileSync(join(cloud().stateDir, 'logs', 'cloud.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"message":"alarm"'))
      .map((line) => JSON.parse(line));
  const paged = (from = counted.pages): string[] =>
    subjects()
      .slice(from)
      .flatMap((subject) => /^ALARM: "(.*)"$/.exec(subject)?.[1] ?? []);
  const becomes: Alarming['becomes'] = (name, state) =>
    until(
      `${name} to be ${state}`,
      () => {
        const now = alarms().get(name);
        if (now?.state === state) return true;
        throw new Error(`it is ${now?.state}: ${now?.reason ?? 'there is no such alarm'}`);
      },
      { deadlineMs: patienceMs },
    );
  return {
    becomes,
    paged: () => paged(),
    count() {
      counted = { pages: subjects().length, lines: turns().length };
    },
    turnedOn() {
      const on = turns()
        .slice(counted.lines)
        .filter(({ to }) => to === 'ALARM')
        .map(({ alarm }) => alarm)
        .filter((name) => alarms().get(name)?.kind === 'metric');
      return [...new Set(on)].sort();
    },
    async drive({ runbook: name, alarms: turned, page, meant, by, meanwhile, backBy }) {
      const { fault, see, back, over } = runbook(name);
      const told = (what: string) => console.log(`${new Date().toISOString()} ${name}: ${what}`);
      await becomes(page, 'OK');
      const before = subjects().length;
      await follow(cloud(), fault, meant);
      await by?.();
      told('the fault is on');
      for (const alarm of turned) await becomes(alarm, 'ALARM');
      await becomes(page, 'ALARM');
      told('paged');
      await meanwhile?.();
      await follow(cloud(), see, meant);
      await follow(cloud(), back, meant);
      await backBy?.();
      told('what is to be done is done');
      for (const alarm of turned) await becomes(alarm, 'OK');
      await becomes(page, 'OK');
      told('over');
      await until(
        `${name} to be over, as its runbook says`,
        () => follow(cloud(), over, meant).then(() => true),
        {
          deadlineMs: overMs,
          everyMs: 2_000,
        },
      );
      expect(
        paged(before).filter((each) => each === page),
        `pages of ${name}`,
      ).toEqual([page]);
    },
    print() {
      const told = turns().slice(counted.lines);
      console.log(told.map(({ time, alarm, to, reason }) => `${time} ${to} ${alarm}: ${reason}`).join('\n'));
    },
  };
}

/**
 * What tells the metrics is a look; the sweep has one of a tenant that is well every three minutes, which do not pass faster
 * with the alarms' periods.
 * @returns how it ends
 */
export function keepLooking(
  cloud: () => TestCloud,
  tenantIds: readonly string[],
  everyMs: number,
): () => Promise<void> {
  let going = true;
  const looks = (async () => {
    while (going)
      for (const tenantId of tenantIds) {
        // On a machine that has no time for them they must not pile up.
        if ((await looksWaiting(cloud()).catch(() => 0)) < tenantIds.length)
          await look(cloud(), tenantId).catch(() => {});
        await sleep(everyMs / tenantIds.length);
      }
  })();
  return async () => {
    going = false;
    await looks;
  };
}
