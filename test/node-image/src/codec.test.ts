import { expect, test } from 'vitest';
import { alarmsOf } from '../../../node-image/src/etcd/alarms.ts';
import { calls, member, rangeRequest } from '../../../node-image/src/etcd/messages.ts';

test('writes the bytes protobuf says', () => {
  // key (1) "a", limit (3) 5, serializable (7) true
  const bytes = rangeRequest.encode({ key: Buffer.from('a'), limit: '5', serializable: true });
  expect(bytes.toString('hex')).toBe('0a016118053801');
});

test('keeps 64-bit ids and negative numbers whole', () => {
  const id = 'ffffffffffffffff';
  expect(member.decode(member.encode({ id, name: 'm', peerUrls: ['a', 'b'] }))).toEqual({
    id,
    name: 'm',
    peerUrls: ['a', 'b'],
    clientUrls: [],
    isLearner: false,
  });
  const { request } = calls.compact;
  expect(request.decode(request.encode({ revision: '-9223372036854775808' })).revision).toBe(
    '-9223372036854775808',
  );
});

test('writes an empty key inside a list, and skips fields it does not know', () => {
  const { request } = calls.memberAdd;
  expect(request.encode({ peerUrls: [''] }).toString('hex')).toBe('0a00');
  // Field 99 as varint, fixed64, bytes and fixed32, then isLearner.
  const unknown = '9806019906000000000000000'.concat('0', '9a0601ff', '9d0600000000', '1001');
  expect(request.decode(Buffer.from(unknown, 'hex'))).toEqual({ peerUrls: [], isLearner: true });
});

test('keeps nested messages and tells absent from empty', () => {
  const { request } = calls.txn;
  const txn = request.decode(
    request.encode({
      compare: [{ result: 0, target: 2, key: Buffer.from('k'), modRevision: '7' } as never],
      success: [{ put: { key: Buffer.from('k'), value: Buffer.from('v') } } as never],
    }),
  );
  expect(txn.compare[0]).toMatchObject({ target: 2, modRevision: '7' });
  expect(txn.success[0]?.put?.value.toString()).toBe('v');
  expect(txn.success[0]?.range).toBeUndefined();
});

test('refuses a message that is cut off', () => {
  expect(() => member.decode(Buffer.from('1205', 'hex'))).toThrow('cut off');
  expect(() => member.decode(Buffer.from('08ff', 'hex'))).toThrow('middle of a number');
});

test('reads alarms from the errors of a status, in the writing of every minor', () => {
  expect(
    alarmsOf([
      'etcdserver: no leader',
      'memberID:10276657743932975437 alarm:NOSPACE ',
      'alarm:CORRUPT',
      'memberID:1  alarm:NOSPACE',
    ]),
  ).toEqual([
    { etcdId: '8e9e05c52164694d', alarm: 'NOSPACE' },
    { etcdId: '0', alarm: 'CORRUPT' },
    { etcdId: '1', alarm: 'NOSPACE' },
  ]);
});
