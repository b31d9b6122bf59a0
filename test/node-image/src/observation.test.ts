import { describe, expect, test } from 'vitest';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import {
  gaugeOf,
  type Histogram,
  LatencyWindow,
  parse,
  percentile,
} from '../../../node-image/src/metrics.ts';
import { judge } from '../../../node-image/src/readiness.ts';
import { Signals } from '../../../node-image/src/signals.ts';

const name = 'etcd_disk_wal_fsync_duration_seconds';
const text = (counts: readonly number[]) =>
  [
    '# TYPE etcd_disk_wal_fsync_duration_seconds histogram',
    `${name}_bucket{le="0.001"} ${counts[0]}`,
    `${name}_bucket{le="0.128"} ${counts[1]}`,
    `${name}_bucket{le="0.256"} ${counts[2]}`,
    `${name}_bucket{le="+Inf"} ${counts[3]}`,
    `${name}_sum 0.0069`,
    `${name}_count ${counts[3]}`,
  ].join('\n');
const histogram = (...counts: number[]): Histogram => parse(text(counts), name);

test("reads a histogram of etcd's metrics", () => {
  expect(histogram(1, 2, 3, 4)).toEqual([
    { le: 0.001, count: 1 },
    { le: 0.128, count: 2 },
    { le: 0.256, count: 3 },
    { le: Number.POSITIVE_INFINITY, count: 4 },
  ]);
  expect(parse('# nothing', name)).toEqual([]);
});

test.each([
  [
    'of the last interval only, whatever was before',
    [900, 1000, 1000, 1000],
    [900, 1000, 1100, 1100],
    0.25472,
  ],
  ['within the first bucket', [0, 0, 0, 0], [100, 100, 100, 100], 0.00099],
  ['beyond the last bound', [0, 0, 0, 0], [0, 0, 0, 10], 0.256],
] as const)('the 99th percentile is %s', (_, before, now, expected) => {
  expect(percentile(histogram(...before), histogram(...now), 0.99)).toBeCloseTo(expected, 5);
});

describe('latency of a disk', () => {
  /** Seconds of a life of etcd: writes in each, and how many of them took longer than 128 ms. */
  function looksOf(...seconds: { writes: number; slow: number }[]) {
    let [fine, slow] = [0, 0];
    return seconds.map((second) => {
      fine += second.writes - second.slow;
      slow += second.slow;
      const counted: Histogram = [
        { le: 0.008, count: fine },
        { le: 0.128, count: fine },
        { le: 0.256, count: fine + slow },
        { le: Number.POSITIVE_INFINITY, count: fine + slow },
      ];
      return { fsyncP99Ms: counted, commitP99Ms: [] };
    });
  }
  const seen = (looks: ReturnType<typeof looksOf>, window = new LatencyWindow()) =>
    looks.map((looked, second) => window.add(looked, second * 1_000)?.fsyncP99Ms);
  const quiet = { writes: 100, slow: 0 };

  test('a disk that stalls is slow in its good seconds too', () => {
    const stalls = Array.from({ length: 120 }, (_, n) => (n % 2 ? { writes: 100, slow: 4 } : quiet));
    const all = seen(looksOf(...stalls));
    expect(Math.min(...all.slice(1).map((p99) => p99!))).toBeGreaterThan(128);
  });

  test('one bad write is forgiven, and what is over is over within half a minute', () => {
    const once = Array.from({ length: 60 }, (_, n) => (n === 30 ? { writes: 100, slow: 1 } : quiet));
    expect(seen(looksOf(...once)).filter((p99) => p99 !== undefined && p99 > 8)).toEqual([]);
    const half = Array.from({ length: 90 }, (_, n) => (n < 30 ? { writes: 100, slow: 4 } : quiet));
    expect(seen(looksOf(...half)).at(59)).toBeGreaterThan(0);
    expect(seen(looksOf(...half)).at(60)).toBeLessThan(8);
  });

  test('what the life before of etcd has counted says nothing about this one', () => {
    const window = new LatencyWindow();
    seen(looksOf(...Array(20).fill({ writes: 100, slow: 50 })), window);
    const next = looksOf(quiet, quiet);
    expect(window.add(next[0]!, 20_000)).toBeUndefined();
    expect(window.add(next[1]!, 21_000)?.fsyncP99Ms).toBeLessThan(8);
  });

  test('a cluster that is hardly written to keeps its figure for half a minute, then has none', () => {
    const rarely = [quiet, quiet, ...Array(40).fill({ writes: 0, slow: 0 })];
    const all = seen(looksOf(...rarely));
    expect(all[30]).toBeLessThan(8);
    expect(all.at(-1)).toBeUndefined();
  });
});

test('a number of the metrics is found by its whole name', () => {
  const text = '# TYPE etcd_auth gauge\netcd_auth_revision_old 4\netcd_auth_revision 12\netcd_z 1e+06\n';
  expect(gaugeOf(text, 'etcd_auth_revision')).toBe(12);
  expect(gaugeOf(text, 'etcd_z')).toBe(1_000_000);
  expect(gaugeOf(text, 'etcd_auth')).toBeUndefined();
});

test('without a write there is no latency', () => {
  expect(percentile(histogram(1, 2, 3, 4), histogram(1, 2, 3, 4), 0.99)).toBeUndefined();
  expect(percentile([], [], 0.99)).toBeUndefined();
});

test.each([
  ['ready', 200, 'ok', { state: 'ready' }],
  [
    'a learner',
    503,
    '[-]non_learner failed: not supported for learner\n[+]data_corruption ok\n[+]linearizable_read ok\n',
    { state: 'learner' },
  ],
  [
    'a learner that cannot read',
    503,
    '[-]non_learner failed: not supported for learner\n[-]linearizable_read failed: etcdserver: request timed out\n',
    { state: 'not-ready', readProblem: 'etcdserver: request timed out' },
  ],
  [
    'corrupt but reading',
    503,
    '[-]data_corruption failed: alarm\n[+]linearizable_read ok\n',
    { state: 'not-ready' },
  ],
  ['something else', 404, 'not found', { state: 'not-ready', readProblem: '/readyz answered 404' }],
])('/readyz tells: %s', (_, status, body, expected) => {
  expect(judge(status, body)).toEqual(expected);
});

const start = Date.parse('2026-01-01T00:00:00Z');
function watch() {
  const signals = new Signals();
  let now = start;
  return (seconds: number, change: object) => {
    let on: string[] = [];
    for (let second = 0; second < seconds; second += 1) {
      now += 1_000;
      on = signals.next({ at: new Date(now).toISOString(), alarms: [], ...change } as unknown as NannyStatus);
    }
    return on;
  };
}
const latency = (fsyncP99Ms: number, applyLag = 0) => ({ latency: { fsyncP99Ms, applyLag } });

test('a slow disk is told after several seconds, and not when it flickers', () => {
  const look = watch();
  for (let n = 0; n < 50; n += 1) {
    expect(look(3, latency(400))).toEqual([]);
    expect(look(1, latency(90))).toEqual([]);
  }
  expect(look(6, latency(101))).toEqual(['slow-disk']);
  for (let n = 0; n < 50; n += 1) {
    expect(look(20, latency(20))).toEqual(['slow-disk']);
    expect(look(1, latency(99))).toEqual(['slow-disk']);
  }
  expect(look(31, latency(20))).toEqual([]);
});

test('space is told at 85 %, and again only below 80 %', () => {
  const look = watch();
  const full = (share: number) => ({
    self: { dbSize: share * 1e9, dbSizeInUse: share * 1e9, dbSizeQuota: 1e9 },
    disk: { totalBytes: 100, freeBytes: 100 - share * 100 },
  });
  expect(look(1, full(0.84))).toEqual([]);
  expect(look(1, full(0.86))).toEqual(['db-full', 'disk-full']);
  expect(look(5, full(0.81))).toEqual(['db-full', 'disk-full']);
  expect(look(1, full(0.79))).toEqual([]);
});

test('reads that fail are told after two looks, and so are reads that work again', () => {
  const look = watch();
  expect(look(2, { readProblem: 'no leader' })).toEqual([]);
  expect(look(1, { readProblem: 'no leader' })).toEqual(['no-read']);
  expect(look(1, {})).toEqual(['no-read']);
  expect(look(2, {})).toEqual([]);
});

test('what is not known changes nothing', () => {
  const look = watch();
  expect(look(10, latency(0, 5_000))).toEqual(['apply-lag']);
  expect(look(100, {})).toEqual(['apply-lag']);
  expect(look(16, latency(0, 0))).toEqual([]);
});
