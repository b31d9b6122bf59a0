import { expect, test } from 'vitest';
import { LoadProbe, residentIn, ticksIn } from '../../../node-image/src/load.ts';

test('the load is that of the last minute, and begins anew with another etcd process', async () => {
  let cpuSeconds = 100;
  const probe = new LoadProbe(async () => ({ cpuSeconds, memoryBytes: 1_000 }));
  expect(await probe.look(7, 0)).toBeUndefined();
  cpuSeconds += 5;
  expect(await probe.look(7, 10_000)).toEqual({ cpuCores: 0.5, memoryBytes: 1_000 });
  for (let at = 20_000; at <= 120_000; at += 10_000) await probe.look(7, at);
  // What was used more than a minute ago is forgotten.
  expect(await probe.look(7, 121_000)).toEqual({ cpuCores: 0, memoryBytes: 1_000 });
  expect(await probe.look(8, 122_000)).toBeUndefined();
});

test('a process that is gone, or a machine without /proc, tells no load', async () => {
  const probe = new LoadProbe(() => Promise.reject(new Error('ENOENT')));
  expect(await probe.look(7, 0)).toBeUndefined();
  expect(await probe.look(7, 1_000)).toBeUndefined();
});

test("the kernel's figures are read whatever the process calls itself", () => {
  expect(ticksIn('42 (etcd) (x) S 1 2 3 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 1 1')).toBe(300);
  expect(residentIn('Name:\tetcd\nVmPeak:\t  9 kB\nVmRSS:\t    2048 kB\n')).toBe(2048 * 1024);
});
