import { describe, expect, test } from 'vitest';
import { actOn, adviseSize, type HourlyLoad } from '../../lambdas/core/autoscale.ts';
import { type SizeClass, sizeClasses } from '../../lambdas/core/model/spec.ts';

const now = new Date('2026-11-28T12:00:00Z');
const hourMs = 3_600_000;
const mib = 1024 ** 2;
const long = new Date(now.getTime() - 30 * 24 * hourMs);

/** Hours of the past, the newest first: CPU in percent, and whatever else differs. */
const hours = (cpu: readonly number[], more: Partial<HourlyLoad> = {}): HourlyLoad[] =>
  cpu.map((cpuPercent, index) => ({
    at: new Date(now.getTime() - (index + 1) * hourMs),
    cpuPercent,
    memoryPercent: 20,
    dbSizeBytes: 50 * mib,
    ...more,
  }));
const steady = (cpu: number, more: Partial<HourlyLoad> = {}) => hours(Array(24).fill(cpu), more);
const advise = (size: SizeClass, load: readonly HourlyLoad[], since: Date | undefined = long) =>
  adviseSize(size, load, now, since);

describe('the recommended size', () => {
  test('stays where the load fits', () => {
    expect(advise('small', steady(60))).toEqual({
      recommended: 'small',
      reason: 'fits (CPU 60 %, memory 20 %)',
    });
  });

  test('grows after three full hours, to the class that the load fills to 60 % at most', () => {
    expect(advise('small', steady(80)).recommended).toBe('medium');
    expect(advise('micro', steady(100)).recommended).toBe('small');
    expect(advise('micro', hours([100, 100, 100])).recommended).toBe('small');
    expect(advise('micro', hours([100, 100, 70, 100])).recommended).toBe('micro');
    expect(advise('micro', hours([100, 100])).recommended).toBe('micro');
  });

  test('does not take the hour that has begun for one of the three', () => {
    const begun = (cpuPercent: number) => ({
      ...hours([cpuPercent])[0]!,
      at: new Date(now.getTime() - 60_000),
    });
    expect(advise('micro', [begun(100), ...hours([100, 100])]).recommended).toBe('micro');
    expect(advise('micro', [begun(1), ...hours([100, 100, 100])]).recommended).toBe('small');
  });

  test('grows by memory as well, and stays at the largest', () => {
    expect(advise('small', steady(5, { memoryPercent: 90 })).recommended).toBe('medium');
    expect(advise('xlarge', steady(99))).toMatchObject({
      recommended: 'xlarge',
      reason: expect.stringContaining('no larger'),
    });
  });

  test('grows at once when the database needs more memory than there is', () => {
    const load = hours([5], { dbSizeBytes: 1_200 * mib });
    expect(advise('small', load)).toEqual({
      recommended: 'medium',
      reason: 'a database of 1200 MiB needs 2048 MiB of memory',
    });
    expect(advise('micro', hours([5], { dbSizeBytes: 6_000 * mib })).recommended).toBe('xlarge');
  });

  test('shrinks by one class, when a whole day would have fitted far below', () => {
    expect(advise('large', steady(10)).recommended).toBe('medium');
    expect(advise('large', hours([...Array(23).fill(10), 40])).recommended).toBe('large');
    // A day with too many holes is no day.
    expect(advise('large', hours(Array(15).fill(10))).recommended).toBe('large');
  });

  test('never goes below what the database needs', () => {
    expect(advise('medium', steady(1, { dbSizeBytes: 900 * mib, memoryPercent: 1 })).recommended).toBe(
      'medium',
    );
    expect(advise('medium', steady(1, { dbSizeBytes: 100 * mib, memoryPercent: 1 })).recommended).toBe(
      'small',
    );
  });

  test('does not judge by figures of another size', () => {
    const changed = new Date(now.getTime() - 2 * hourMs);
    expect(advise('small', steady(90), changed).recommended).toBe('small');
  });

  test('is none without figures, and says so', () => {
    for (const load of [[], steady(90, { cpuPercent: undefined }), steady(90, { dbSizeBytes: undefined })]) {
      const advice = advise('small', load);
      expect(advice.recommended).toBeUndefined();
      expect(advice.reason).toMatch(/no figures/);
    }
    // Old ones are none.
    const old = steady(90).map((hour) => ({ ...hour, at: new Date(hour.at.getTime() - 10 * hourMs) }));
    expect(advise('small', old).recommended).toBeUndefined();
  });
});

describe('a load that flaps', () => {
  /** A week, hour by hour, at the size that was advised: the load is what it is, its share depends on the class. */
  function week(vcpus: (hour: number) => number, start: SizeClass): SizeClass[] {
    const sizes: SizeClass[] = [start];
    let since = new Date(0);
    let size = start;
    const seen: { at: Date; used: number }[] = [];
    for (let hour = 0; hour < 7 * 24; hour++) {
      const at = new Date(Date.UTC(2026, 10, 1) + hour * hourMs);
      seen.push({ at, used: vcpus(hour) });
      const load = seen.slice(-25).map(({ at: begun, used }) => ({
        at: begun,
        cpuPercent: Math.min(100, (used / (sizeClasses[size].cpu / 1024)) * 100),
        memoryPercent: 20,
        dbSizeBytes: 50 * mib,
      }));
      const { recommended } = adviseSize(size, load, new Date(at.getTime() + hourMs), since);
      if (recommended === undefined || recommended === size) continue;
      size = recommended;
      since = new Date(at.getTime() + hourMs);
      sizes.push(size);
    }
    return sizes;
  }

  test('up and down each hour, or by day and night, changes the size once at most', () => {
    expect(week((hour) => (hour % 2 === 0 ? 0.48 : 0.02), 'small')).toEqual(['small']);
    expect(week((hour) => (hour % 24 < 10 ? 0.48 : 0.02), 'small')).toEqual(['small', 'medium']);
    for (let period = 2; period <= 40; period++)
      for (const high of [0.2, 0.48, 0.9]) {
        const sizes = week((hour) => (hour % period < period / 2 ? high : 0.02), 'small');
        const turns = sizes.slice(1).filter((size, index) => sizes.indexOf(size) < index);
        // A half period of a day and more is a new load and not a flapping one.
        if (period < 40) expect([period, high, turns]).toEqual([period, high, []]);
      }
  });

  test('a load that has gone for good lets it shrink, one class a day', () => {
    expect(week((hour) => (hour < 10 ? 1.8 : 0.05), 'large')).toEqual([
      'large',
      'xlarge',
      'large',
      'medium',
      'small',
      'micro',
    ]);
  });
});

describe('action', () => {
  const spec = {
    size: 'small' as SizeClass,
    autoscale: { min: 'small' as SizeClass, max: 'large' as SizeClass },
  };
  const to = (recommended: SizeClass | undefined) => ({ ...(recommended && { recommended }), reason: '' });
  const idle = { spec, sizing: undefined, isIdle: true };
  const changedAt = (hoursAgo: number) => ({
    at: now.toISOString(),
    reason: '',
    size: 'small' as SizeClass,
    since: now.toISOString(),
    changedAt: new Date(now.getTime() - hoursAgo * hourMs).toISOString(),
  });

  test('follows the advice where it is asked for, within its bounds', () => {
    expect(actOn(to('medium'), idle, now)).toEqual({ to: 'medium' });
    expect(actOn(to('xlarge'), idle, now)).toEqual({ to: 'large' });
    expect(actOn(to('micro'), idle, now)).toEqual({ not: 'small..large does not let it go to micro' });
    expect(actOn(to('small'), idle, now)).toEqual({ not: 'the size fits' });
  });

  test('is off unless it is asked for', () => {
    expect(actOn(to('medium'), { ...idle, spec: { size: 'small' } }, now)).toEqual({
      not: 'autoscale is off',
    });
  });

  test('does nothing without an advice', () => {
    expect(actOn(to(undefined), idle, now)).toEqual({ not: 'too little is known' });
  });

  test('waits for the cool-down, for whatever is under way, and for the window', () => {
    expect(actOn(to('medium'), { ...idle, sizing: changedAt(5) }, now)).toMatchObject({
      not: expect.stringContaining('6 hours'),
    });
    expect(actOn(to('medium'), { ...idle, sizing: changedAt(7) }, now)).toEqual({ to: 'medium' });
    expect(actOn(to('medium'), { ...idle, isIdle: false }, now)).toMatchObject({
      not: expect.stringContaining('busy'),
    });
    const maintenanceWindow = { days: ['sun' as const], start: '03:30', minutes: 60 };
    expect(actOn(to('medium'), { ...idle, spec: { ...spec, maintenanceWindow } }, now)).toEqual({
      not: 'its maintenance window opens at 2026-11-29T03:30:00.000Z',
    });
  });

  test('never takes a cluster below what fits because of its bounds', () => {
    const small = {
      ...spec,
      size: 'large' as SizeClass,
      autoscale: { min: 'micro' as SizeClass, max: 'small' as SizeClass },
    };
    expect(actOn(to('large'), { ...idle, spec: small }, now)).toMatchObject({
      not: expect.stringContaining('least that fits'),
    });
    expect(actOn(to('micro'), { ...idle, spec: small }, now)).toEqual({ to: 'micro' });
  });
});
