import { expect, test } from 'vitest';
import { decideBoot } from '../../../node-image/src/boot.ts';
import type { SavedState } from '../../../node-image/src/member-disk.ts';

const saved = (change: Partial<SavedState> = {}): SavedState => ({
  schemaVersion: 1,
  tenantId: 'acme',
  memberName: 'maaaaaaa1',
  incarnation: 1,
  mode: 'resume',
  etcdVersion: '3.6.16',
  etcdArguments: [],
  fence: 0,
  ...change,
});
const started = { hasData: true, saved: saved() };
const fresh = { hasData: false, saved: undefined };

test('a fresh disk starts as it is told', () => {
  expect(decideBoot({ mode: 'new', incarnation: 1 }, fresh)).toEqual({ start: 'new' });
  expect(decideBoot({ mode: 'existing', incarnation: 1 }, fresh)).toEqual({ start: 'existing' });
});

test.each(['new', 'existing', 'resume'] as const)(
  'a disk with data of the same incarnation resumes: %s',
  (mode) => {
    expect(decideBoot({ mode, incarnation: 1 }, started)).toEqual({ start: 'resume' });
  },
);

test.each([
  ['resume on an empty disk', { mode: 'resume', incarnation: 1 }, fresh, 'disk is empty'],
  ['data of another incarnation', { mode: 'new', incarnation: 2 }, started, 'incarnation 1'],
  ['data nobody knows', { mode: 'new', incarnation: 1 }, { hasData: true, saved: undefined }, 'whose data'],
  [
    'a member that was started before and is empty now (S3)',
    { mode: 'new', incarnation: 1 },
    { hasData: false, saved: saved() },
    'vote twice',
  ],
  [
    'a disk that has ended',
    { mode: 'resume', incarnation: 1 },
    { hasData: true, saved: saved({ ended: { state: 'removed', reason: 'it was removed' } }) },
    'it was removed',
  ],
] as const)('never starts %s', (_, answer, disk, reason) => {
  expect(decideBoot(answer, disk)).toEqual({ refuse: expect.stringContaining(reason) });
});

test('a first boot that failed before etcd wrote anything may be tried again', () => {
  const disk = { hasData: false, saved: saved({ mode: 'new' }) };
  expect(decideBoot({ mode: 'new', incarnation: 1 }, disk)).toEqual({ start: 'new' });
});
