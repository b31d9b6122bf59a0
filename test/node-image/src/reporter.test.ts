import { expect, test } from 'vitest';
import { TransientError } from '../../../lambdas/core/errors.ts';
import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import type { JoinClient } from '../../../node-image/src/join-client.ts';
import { Reporter, reportKey } from '../../../node-image/src/reporter.ts';
import { realTiming } from '../../../node-image/src/timing.ts';
import { until } from './support/until.ts';

const self = {
  etcdId: 'a',
  clusterId: 'c',
  version: '3.6.16',
  revision: 1,
  raftTerm: 2,
  raftIndex: 3,
  raftAppliedIndex: 3,
  leader: 'a',
  isLearner: false,
  dbSize: 1,
  dbSizeInUse: 1,
  errors: [],
};
const member = { etcdId: 'b', name: 'm', peerUrls: [], clientUrls: [], isLearner: false, reachable: true };
const status = (change: Partial<NannyStatus> = {}): NannyStatus => ({
  at: '2026-01-01T00:00:00Z',
  tenantId: 'acme',
  memberName: 'maaaaaaa1',
  incarnation: 1,
  etcd: { state: 'ready', restarts: 0 },
  self,
  alarms: [],
  view: { clusterId: 'c', linearizable: true, members: [member] },
  ...change,
});

test('figures that move all the time are no change', () => {
  const moved = status({
    at: '2026-01-01T00:00:09Z',
    self: { ...self, revision: 99, raftIndex: 120, dbSize: 7 },
  });
  expect(reportKey(moved)).toBe(reportKey(status()));
});

const backup = { chain: 'x', shippedRevision: 7, upToDateAt: '2026-01-01T00:00:00Z', pending: 0 };

test('each segment that is shipped is no change; that shipping is stuck or broken is', () => {
  const key = (change: object) => reportKey(status({ backup: { ...backup, ...change } }));
  expect(key({ shippedRevision: 9, upToDateAt: '2026-01-01T00:00:05Z', pending: 3 })).toBe(key({}));
  expect(key({ problem: 'S3 is down' })).not.toBe(key({}));
  expect(key({ broken: 'compacted' })).not.toBe(key({}));
});

test.each<[string, Partial<NannyStatus>]>([
  ['state', { etcd: { state: 'not-ready', restarts: 0 } }],
  ['restart', { etcd: { state: 'ready', restarts: 1 } }],
  ['leader', { self: { ...self, leader: 'b' } }],
  ['promotion', { self: { ...self, isLearner: true } }],
  ['alarm', { alarms: [{ etcdId: 'a', alarm: 'NOSPACE' }] }],
  [
    'reachability',
    { view: { clusterId: 'c', linearizable: true, members: [{ ...member, reachable: false }] } },
  ],
  ['membership', { view: { clusterId: 'c', linearizable: true, members: [] } }],
  ['certificates', { certificates: { notAfter: '2026-02-01T00:00:00Z' } }],
])('a change of %s is reported', (_, change) => {
  expect(reportKey(status(change))).not.toBe(reportKey(status()));
});

test('each change is told once, the newest state as often as it takes, and `leave` is obeyed', async () => {
  const told: string[] = [];
  let failures = 2;
  let leaves = false;
  const client = {
    report: async (request) => {
      if (failures > 0) {
        failures -= 1;
        throw new TransientError('down');
      }
      told.push(request.status.etcd.state);
      return { leave: leaves, reason: 'enough' };
    },
  } as Partial<JoinClient> as JoinClient;
  const left: string[] = [];
  const quiet = () => undefined;
  const reporter = new Reporter(client, {
    log: { info: quiet, warn: quiet, error: quiet },
    timing: { ...realTiming, sleep: (ms) => realTiming.sleep(ms / 20) },
    onLeave: (reason) => void left.push(reason),
  });
  const running = reporter.run();
  reporter.offer(status({ etcd: { state: 'starting', restarts: 0 } }));
  reporter.offer(status());
  reporter.offer(status());
  await until('it got through', () => told.length > 0);
  reporter.offer(status({ at: '2026-01-01T00:00:05Z' }));
  leaves = true;
  reporter.offer(status({ etcd: { state: 'removed', restarts: 0 } }));
  await until('it was told to leave', () => left.length > 0);
  reporter.stop();
  await running;
  expect(told).toEqual(['ready', 'removed']);
  expect(left).toEqual(['enough']);
});

test('a cluster that flaps is told of in a burst and then every few seconds, always with the newest', async () => {
  const told: string[] = [];
  const client = {
    report: async ({ status: { self } }) => {
      told.push(self!.leader);
      return { leave: false };
    },
  } as Partial<JoinClient> as JoinClient;
  const quiet = () => undefined;
  let now = Date.parse('2026-01-01T00:00:00Z');
  let release: () => void = quiet;
  const reporter = new Reporter(client, {
    log: { info: quiet, warn: quiet, error: quiet },
    timing: {
      ...realTiming,
      now: () => new Date(now),
      sleep: (ms) =>
        new Promise((resolve) => {
          release = () => {
            now += ms;
            resolve();
          };
        }),
    },
    onLeave: quiet,
  });
  const running = reporter.run();
  for (let n = 0; n < 300; n += 1) {
    reporter.offer(status({ self: { leader: String(n) } as never }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(told.length).toBe(20);
  release();
  await until('the newest is told', () => told.at(-1) === '299');
  expect(told.length).toBe(21);
  expect(now - Date.parse('2026-01-01T00:00:00Z')).toBe(3_000);
  reporter.stop();
  release();
  await running;
});

test('signals make a status worth a report', () => {
  expect(reportKey(status(), ['slow-disk'])).not.toBe(reportKey(status()));
});
