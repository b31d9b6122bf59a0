import { expect, test } from 'vitest';
import { type EtcdExit, judgeExit, LastLines } from '../../../node-image/src/exit-reason.ts';

const failedStart: EtcdExit = { code: 1, signal: null, lastLines: [], wasReady: false, hasData: true };
const fatal = (error: string) => `{"level":"fatal","msg":"discovery failed","error":"${error}"}`;

test.each([
  // Lines of etcd 3.5.35, 3.6.16 and 3.7.3 on disks that were damaged on purpose.
  fatal('walpb: crc mismatch'),
  fatal('wal: crc mismatch'),
  'panic: cannot use none as id',
  fatal('proto: cannot parse invalid wire-format data'),
  'panic: failed to recover v3 backend from snapshot',
  '{"level":"panic","msg":"failed to open database","error":"invalid database"}',
  'panic: assertion failed: Page expected to be: 38, but self identifies as 11936128518282651045',
  'unexpected fault address 0x7fa652e26000',
  'panic: tocommit(107) is out of range [lastIndex(92)]. Was the raft log corrupted, truncated, or lost?',
  fatal('121a3c5b found data inconsistency with peers'),
  fatal('member 8e9e05c52164694d has already been bootstrapped'),
])('knows a disk that cannot be used: %s', (line) => {
  expect(judgeExit({ ...failedStart, lastLines: [line] }).kind).toBe('corrupt');
});

test.each([
  fatal('listen tcp 10.0.0.1:2380: bind: address already in use'),
  fatal('listen tcp 10.0.0.1:2380: bind: cannot assign requested address'),
  fatal('write /data/member/wal/0.tmp: no space left on device'),
  fatal('open /data/member/snap/db: permission denied'),
  'flag provided but not defined: -experimental-initial-corrupt-check',
  'invalid value "x" for flag -snapshot-count: parse error',
  fatal('open /data/pki/server.pem: no such file or directory'),
  fatal('error validating peerURLs: member count is unequal'),
  fatal('cannot fetch cluster info from peer URLs: could not retrieve cluster information'),
  fatal('invalid downgrade; server version is lower than determined cluster version'),
])('does not blame the data for a fault of machine or settings: %s', (line) => {
  expect(judgeExit({ ...failedStart, lastLines: [line] }).kind).toBe('environment');
});

test('does not blame anything on what etcd merely warned of', () => {
  const warning =
    '{"level":"warn","msg":"rejected connection","error":"remote error: tls: failed to verify, x509: bad"}';
  expect(judgeExit({ ...failedStart, lastLines: [warning] }).kind).toBe('unexplained');
});

test('takes a kill for what it is, whatever the log says', () => {
  const exit = { ...failedStart, code: null, signal: 'SIGKILL', lastLines: [fatal('wal: crc mismatch')] };
  expect(judgeExit(exit)).toEqual({ kind: 'crash', reason: 'etcd was ended by SIGKILL' });
});

test('lets the next start decide when etcd had worked before it fell', () => {
  const exit = { ...failedStart, wasReady: true, lastLines: ['unexpected fault address 0x7f'] };
  expect(judgeExit(exit).kind).toBe('crash');
});

test('keeps the head of a Go panic, not the dump of its goroutines', () => {
  const last = new LastLines();
  last.add('{"level":"info","msg":"starting"}');
  last.add('panic: cannot use none as id');
  last.add('goroutine 1 [running]:');
  for (let n = 0; n < 500; n += 1) last.add(`\tframe ${n}`);
  expect(last.lines).toEqual(['{"level":"info","msg":"starting"}', 'panic: cannot use none as id']);
});
