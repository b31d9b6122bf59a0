import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alarmKinds } from '../lambdas/core/alarms.ts';
import { type CliWorld, createCliWorld } from './cli/world.ts';
import { runbook, runbooks, textOf } from './e2e/support/runbook.ts';

let world: CliWorld;
beforeAll(async () => {
  world = await createCliWorld();
});
afterAll(() => world.close());

/** Commands of ours in fenced blocks and in sentences. */
const commandsIn = (text: string): string[] =>
  [...text.matchAll(/npx nanny ([^`\n]+)/g)].map(([, line = '']) => line.replace(/\s+#\s.*$/, '').trim());

/** As a shell takes it apart, with something in the place of each `<placeholder>`. */
const words = (line: string): string[] =>
  [
    ...line.replaceAll(/<([^>]+)>/g, (_, what: string) => meant[what] ?? 'acme').matchAll(/"([^"]*)"|(\S+)/g),
  ].map(([, quoted, word]) => quoted ?? word ?? '');
const member = 'm00000001';
const meant: Readonly<Record<string, string>> = {
  member,
  follower: member,
  'other follower': member,
  zone: 'us-east-1a',
  time: '2026-11-22T00:00:00Z',
  GiB: '40',
};

test('each alarm of a tenant has one, and the page of all names each', () => {
  expect(runbooks()).toEqual(expect.arrayContaining([...alarmKinds]));
  for (const name of runbooks()) expect(textOf('README')).toContain(`[${name}](${name}.md)`);
});

describe.each(runbooks())('%s', (name) => {
  test('says what it means, how it is seen, what to do, when it is over and how it was tried', () => {
    const sections = [...textOf(name).matchAll(/^\*\*(\w+)/gm)].map(([, word]) => word);
    expect(sections).toEqual(['Means', 'See', 'Do', 'Over', 'Tried']);
  });

  test('is tried by a topic that follows it: commands for the fault and for the way back', () => {
    expect(textOf(name)).toMatch(/\*\*Tried\*\* by `npm run e2e -- alarms(-fleet)?`/);
    const { fault, back } = runbook(name);
    expect(fault.length).toBeGreaterThan(0);
    expect(back.length).toBeGreaterThan(0);
  });

  test('its commands are such that the CLI takes', async () => {
    for (const line of commandsIn(textOf(name))) {
      const { code, err } = await world.run(words(line));
      // There is no such tenant here, and no local cloud: that it says so is enough.
      expect(code, `${line}: ${err}`).not.toBe(2);
    }
  });
});
