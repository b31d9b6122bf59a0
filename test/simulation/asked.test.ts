import { describe, expect, test } from 'vitest';
import { readAsked } from './asked.ts';

const read = (...args: string[]) => readAsked(args, 1_234, 2);

describe('npm run sim', () => {
  test('explains itself when asked', () => {
    expect(read('--help')).toMatchObject({ code: 0, say: expect.stringContaining('--seed N') });
  });

  test.each([
    [['--sed', '3'], /--sed/],
    [['--seed', 'three'], /--seed is a whole number/],
    [['--histories', '0'], /--histories is a whole number from 1 on/],
    [['3'], /'3'/],
  ])('answers %j with a sentence and how it is used, not with a stack', (args, what) => {
    const answer = read(...args);
    expect(answer).toMatchObject({ code: 2, say: expect.stringMatching(what) });
    expect(answer).toMatchObject({ say: expect.stringContaining('npm run sim -- --seed N') });
    expect('say' in answer && answer.say).not.toMatch(/\bat .*:\d+:\d+/);
  });

  test('tells one seed in full, and runs CI’s ten thousand always from the same one', () => {
    expect(read('--seed', '7')).toMatchObject({ single: true, first: 7, histories: 1 });
    expect(read('--ci')).toMatchObject({ single: false, first: 1, histories: 10_000, ci: true, workers: 2 });
    expect(read('--explore')).toMatchObject({ single: false, first: 1_234, histories: 1_000 });
    expect(read('--until-seconds', '5')).toMatchObject({
      histories: Number.POSITIVE_INFINITY,
      limitMs: 5_000,
    });
  });
});
