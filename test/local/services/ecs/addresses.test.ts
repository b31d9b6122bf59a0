import { expect, test } from 'vitest';
import { nextAddress } from '../../../../local/services/ecs/addresses.ts';
import { fargateSize } from '../../../../local/services/ecs/fargate.ts';

const none = new Set<string>();

test("never gives out AWS's five addresses of a subnet, and comes round after the last one", () => {
  const given: string[] = [];
  let last = 3;
  for (let n = 0; n < 12; n += 1) {
    const next = nextAddress('127.74.3.16/28', last, none, none)!;
    given.push(next.ip);
    last = next.host;
  }
  const round = Array.from({ length: 11 }, (_, n) => `127.74.3.${20 + n}`);
  expect(given).toEqual([...round, '127.74.3.20']);
});

test('passes over addresses in use, takes resting ones only when nothing else is left, and then none', () => {
  const all = Array.from({ length: 11 }, (_, n) => `127.74.3.${20 + n}`);
  const used = new Set(all.slice(0, 5));
  const resting = new Set(all.slice(5, 8));
  expect(nextAddress('127.74.3.16/28', 3, used, resting)?.ip).toBe('127.74.3.28');
  expect(nextAddress('127.74.3.16/28', 3, new Set(all.filter((ip) => !resting.has(ip))), resting)?.ip).toBe(
    '127.74.3.25',
  );
  expect(nextAddress('127.74.3.16/28', 3, new Set(all), none)).toBeUndefined();
});

test('knows subnets larger than 256 addresses', () => {
  expect(nextAddress('127.74.16.0/20', 255, none, none)?.ip).toBe('127.74.17.0');
});

test.each([
  ['256', '512', { cpu: '256', memory: '512' }],
  ['1 vCPU', '2 GB', { cpu: '1024', memory: '2048' }],
  ['4096', '30720', { cpu: '4096', memory: '30720' }],
])('Fargate has %s cpu with %s memory', (cpu, memory, size) => {
  expect(fargateSize(cpu, memory)).toEqual(size);
});

test.each([
  ['256', '4096'],
  ['300', '512'],
  ['1024', '2500'],
  ['8192', '18432'],
])('Fargate has no %s cpu with %s memory', (cpu, memory) => {
  expect(() => fargateSize(cpu, memory)).toThrow(/No Fargate configuration/);
});
