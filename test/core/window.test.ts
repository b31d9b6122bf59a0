import { describe, expect, test } from 'vitest';
import { windowOpens } from '../../lambdas/core/window.ts';

/** 2026-01-01 is a Thursday. */
const at = (text: string): Date => new Date(text);
const night = { days: ['thu' as const], start: '23:00', minutes: 120 };

describe('the maintenance window', () => {
  test.each([
    ['none', undefined, '2026-01-01T12:00:00Z', undefined],
    ['later today', night, '2026-01-01T12:00:00Z', '2026-01-01T23:00:00.000Z'],
    ['open', night, '2026-01-01T23:00:00Z', undefined],
    ['open over midnight', night, '2026-01-02T00:59:59Z', undefined],
    ['just closed: next week', night, '2026-01-02T01:00:00Z', '2026-01-08T23:00:00.000Z'],
    [
      'whichever day is next',
      { days: ['mon' as const, 'sat' as const], start: '03:30', minutes: 60 },
      '2026-01-01T12:00:00Z',
      '2026-01-03T03:30:00.000Z',
    ],
    [
      'all day, every day',
      {
        days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as ('mon' | 'tue')[],
        start: '00:00',
        minutes: 1440,
      },
      '2026-01-04T23:59:59Z',
      undefined,
    ],
  ])('%s', (_name, window, now, opens) => {
    expect(windowOpens(window, at(now))?.toISOString()).toBe(opens);
  });
});
