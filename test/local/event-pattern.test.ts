import { describe, expect, it } from 'vitest';
import { rate } from '../../local/services/events/index.ts';
import { compilePattern } from '../../local/services/events/pattern.ts';

const taskEvent = {
  version: '0',
  source: 'aws.ecs',
  'detail-type': 'ECS Task State Change',
  resources: ['arn:aws:ecs:us-east-1:1:task/c1/abc'],
  detail: {
    clusterArn: 'arn:aws:ecs:us-east-1:1:cluster/c1',
    lastStatus: 'STOPPED',
    version: 5,
    cpu: '512',
    healthy: false,
    none: null,
    sourceIp: '10.1.2.3',
    containers: [
      { name: 'sidecar', exitCode: 0 },
      { name: 'member', exitCode: 137 },
    ],
  },
};

describe('event patterns match as the documentation of EventBridge says', () => {
  const table: [string, unknown, boolean][] = [
    ['exact values', { source: ['aws.ecs'], detail: { lastStatus: ['STOPPED', 'RUNNING'] } }, true],
    ['no value fits', { detail: { lastStatus: ['RUNNING'] } }, false],
    ['a field that is not there', { detail: { group: ['x'] } }, false],
    ['null', { detail: { none: [null] } }, true],
    ['booleans are not strings', { detail: { healthy: ['false'] } }, false],
    ['numbers are not strings', { detail: { cpu: [512] } }, false],
    ['an element of a list', { resources: ['arn:aws:ecs:us-east-1:1:task/c1/abc'] }, true],
    ['an object of a list', { detail: { containers: { name: ['member'], exitCode: [137] } } }, true],
    ['prefix', { detail: { clusterArn: [{ prefix: 'arn:aws:ecs' }] } }, true],
    ['prefix without case', { detail: { lastStatus: [{ prefix: { 'equals-ignore-case': 'stop' } }] } }, true],
    ['suffix', { detail: { clusterArn: [{ suffix: 'cluster/c2' }] } }, false],
    ['equals-ignore-case', { detail: { lastStatus: [{ 'equals-ignore-case': 'stopped' }] } }, true],
    ['wildcard', { detail: { clusterArn: [{ wildcard: 'arn:*:cluster/c*' }] } }, true],
    ['wildcard has no question mark', { detail: { lastStatus: [{ wildcard: 'STOPPE?' }] } }, false],
    ['anything-but one', { detail: { lastStatus: [{ 'anything-but': 'RUNNING' }] } }, true],
    ['anything-but a list', { detail: { lastStatus: [{ 'anything-but': ['STOPPED', 'RUNNING'] }] } }, false],
    ['anything-but a prefix', { detail: { lastStatus: [{ 'anything-but': { prefix: 'STOP' } }] } }, false],
    ['anything-but prefixes', { detail: { lastStatus: [{ 'anything-but': { prefix: ['A', 'B'] } }] } }, true],
    ['anything-but needs the field', { detail: { group: [{ 'anything-but': 'x' }] } }, false],
    ['numeric range', { detail: { version: [{ numeric: ['>', 0, '<=', 5] }] } }, true],
    ['numeric out of range', { detail: { version: [{ numeric: ['>', 5] }] } }, false],
    ['exists', { detail: { lastStatus: [{ exists: true }], group: [{ exists: false }] } }, true],
    ['exists false for a field that is there', { detail: { lastStatus: [{ exists: false }] } }, false],
    ['cidr', { detail: { sourceIp: [{ cidr: '10.1.0.0/16' }] } }, true],
    ['$or', { detail: { $or: [{ lastStatus: ['RUNNING'] }, { version: [{ numeric: ['=', 5] }] }] } }, true],
    ['$or with none', { detail: { $or: [{ lastStatus: ['RUNNING'] }, { version: [6] }] } }, false],
  ];
  it.each(table)('%s', (_name, pattern, expected) => {
    expect(compilePattern(pattern)(taskEvent)).toBe(expected);
  });

  it.each([
    [{}, 'non-empty'],
    [{ source: 'aws.ecs' }, 'must be a list'],
    [{ source: [{ regex: '.*' }] }, 'does not know the event pattern operator "regex"'],
    [{ detail: { version: [{ numeric: ['~', 1] }] } }, 'numeric does not know'],
    [{ detail: { version: [{ prefix: 'a', suffix: 'b' }] } }, 'exactly one operator'],
  ])('%j is refused at start', (pattern, message) => {
    expect(() => compilePattern(pattern)).toThrow(message);
  });
});

it('knows rate() schedules only', () => {
  expect(rate('rate(1 minute)')).toBe(60_000);
  expect(rate('rate(2 hours)')).toBe(7_200_000);
  expect(() => rate('cron(0 * * * ? *)')).toThrow('only knows rate()');
});
