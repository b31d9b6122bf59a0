import { beforeEach, expect, test } from 'vitest';
import { type Journal, openJournal } from '../../lambdas/core/journal.ts';
import { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import { newTenant } from '../fakes/sim/tenants.ts';

let now: number;
let count: number;
let store: InMemoryTenantStore;
let journal: Journal;
const { record, operation } = newTenant('acme', new Date('2026-01-01T00:00:00Z'), {
  ulid: () => 'op',
  clusterToken: () => 't',
});
const deps = () => ({
  store,
  clock: { now: () => new Date(++now), sleep: async () => undefined },
  ids: { ulid: () => String(++count).padStart(26, '0') },
  log: { info: () => undefined, warn: () => undefined, error: () => undefined },
});

beforeEach(async () => {
  now = Date.parse('2026-01-01T00:00:00Z');
  count = 0;
  store = new InMemoryTenantStore();
  await store.putOperation(operation);
  journal = await openJournal(deps(), record);
});

const written = async () => {
  await journal.flush();
  const stored = (await store.getOperation('acme', 'op'))!;
  const { items } = await store.listEvents('acme', { limit: 1000 });
  return { ...stored, events: items.map((event) => `${event.kind} ${event.message}`).reverse() };
};

test('the same wait, failure or refusal is told once, however often it happens', async () => {
  for (let i = 0; i < 3; i++) journal.waiting('wait-for-members', '1 of 3');
  for (let i = 0; i < 3; i++) journal.failed('launch-members', 'no capacity', new Date(now));
  for (let i = 0; i < 3; i++) journal.waiting('back-off', 'later');
  journal.failed('launch-members', 'no capacity', new Date(now));
  for (let i = 0; i < 3; i++) journal.refused('publish', 'S9', 'two clusters');
  const { steps, events } = await written();
  expect(steps.map((step) => `${step.name} ${step.outcome}`)).toEqual([
    'wait-for-members done',
    'launch-members failed',
    'publish refused',
  ]);
  expect(events).toEqual(['seen launch-members failed: no capacity', 'refused publish: two clusters']);
});

test('what is done once more within minutes is told once, also after a wait; later it is news', async () => {
  const stop = () => journal.done('stop-tasks', 'Stopping task …1.', new Date(now));
  stop();
  stop();
  journal.waiting('wait-for-stop', '1 task is stopping');
  stop();
  journal.done('stop-tasks', 'Stopping task …2.', new Date(now));
  now += 3 * 60_000;
  journal.done('stop-tasks', 'Stopping task …2.', new Date(now));
  expect((await written()).events).toEqual([
    'done Stopping task …1.',
    'done Stopping task …2.',
    'done Stopping task …2.',
  ]);
});

test('a wait shows its newest reason and ends when a step is done', async () => {
  journal.waiting('wait-for-members', '1 of 3');
  journal.waiting('wait-for-members', '2 of 3');
  expect((await written()).message).toBe('2 of 3');
  journal.done('publish', 'Serves.', new Date(now));
  const { steps } = await written();
  expect(steps.map((step) => [step.name, step.detail, step.outcome])).toEqual([
    ['wait-for-members', '2 of 3', 'done'],
    ['publish', 'Serves.', 'done'],
  ]);
});

test('a long operation keeps its beginning and its end', async () => {
  for (let i = 0; i < 500; i++) journal.done(`step-${i}`, 'x', new Date(now));
  const { steps } = await written();
  expect(steps).toHaveLength(200);
  expect([steps[0]?.name, steps.at(-1)?.name]).toEqual(['step-0', 'step-499']);
});

test('a line that cannot be written stops nothing; the end of an operation has to be written', async () => {
  store.appendEvent = () => Promise.reject(new Error('throttled'));
  journal.done('publish', 'Serves.', new Date(now));
  await journal.flush();
  store.putOperation = () => Promise.reject(new Error('throttled'));
  await expect(journal.close('succeeded', 'Done.')).rejects.toThrow('throttled');
});

test('an operation whose item was never written is written now', async () => {
  store = new InMemoryTenantStore();
  journal = await openJournal(deps(), record);
  await journal.close('succeeded', 'Done.');
  expect(await written()).toMatchObject({ state: 'succeeded', kind: 'create', requestedBy: record.owner });
});

test('what is closed stays closed, whatever fails after; a later look that finds it going on opens it again', async () => {
  await journal.close('succeeded', 'Well again.');
  journal.failed('end-remediation', 'socket hang up', new Date(now));
  expect(await written()).toMatchObject({
    state: 'succeeded',
    message: 'Well again.',
    events: ['seen end-remediation failed: socket hang up'],
  });
  journal = await openJournal(deps(), record);
  journal.done('register-names', 'In the name service.', new Date(now));
  expect(await written()).toMatchObject({ state: 'running' });
});
