import { describe, expect, test } from 'vitest';
import { versionChange, versionForNewcomer } from '../../lambdas/core/version-rules.ts';
import { versionGate } from '../../lambdas/patch/gate.ts';
import { formed } from '../fakes/sim/formed.ts';

const table: [string, string[], string, string][] = [
  ['nothing', ['3.6.16', '3.6.16'], '3.6.16', 'same'],
  ['a patch', ['3.6.14'], '3.6.16', 'patch'],
  ['a patch back', ['3.6.16'], '3.6.14', 'patch'],
  ['3.5 → 3.6 from the floor', ['3.5.33'], '3.6.16', 'minor-up'],
  ['3.5 → 3.6 below the floor', ['3.5.30'], '3.6.16', 'at least 3.5.32'],
  ['3.5 → 3.6 with one below the floor', ['3.5.35', '3.5.30'], '3.6.16', 'at least 3.5.32'],
  ['3.6 → 3.7', ['3.6.14'], '3.7.3', 'minor-up'],
  ['3.6 → 3.7 half done', ['3.6.14', '3.7.3'], '3.7.3', 'minor-up'],
  ['3.5 → 3.7', ['3.5.35'], '3.7.3', 'more than one minor step'],
  ['3.7 → 3.5', ['3.7.3'], '3.5.35', 'more than one minor step'],
  ['3.6 → 3.5', ['3.6.16'], '3.5.35', 'minor-down'],
  ['3.6 → 3.5 half done', ['3.5.35', '3.6.16'], '3.5.35', 'minor-down'],
  ['3.5 and 3.7 → 3.6', ['3.5.35', '3.7.3'], '3.6.16', 'bring them to one minor first'],
  ['to a refused version', ['3.5.35'], '3.4.23', 'refused'],
  ['to another major', ['3.7.3'], '4.0.0', 'more than one minor step'],
];

describe('a version change', () => {
  test.each(table)('%s', (_name, running, wanted, expected) => {
    const change = versionChange(running, wanted, versionGate);
    expect(change.kind === 'refused' ? change.reason : change.kind).toContain(expected);
  });
});

describe('a newcomer runs', () => {
  const of = (versions: string[], version: string, lost?: number) => {
    const { tenant } = formed(
      versions.map((each, index) => ({ zone: 'abc'[index]!, made: { version: each } })),
      { spec: { version } },
    );
    return versionForNewcomer(tenant, lost === undefined ? undefined : Object.keys(tenant.members)[lost]);
  };
  test.each([
    ['the spec, within a minor', ['3.6.14', '3.6.14'], '3.6.16', '3.6.16'],
    ['what the others run, before a minor step has begun', ['3.5.35', '3.5.35'], '3.6.16', '3.5.35'],
    ['the spec, once a minor step has begun', ['3.5.35', '3.6.16'], '3.6.16', '3.6.16'],
    ['what the others run, before a step down has begun', ['3.6.16', '3.6.16'], '3.5.35', '3.6.16'],
    ['the spec, once a step down has begun', ['3.5.35', '3.6.16'], '3.5.35', '3.5.35'],
  ])('%s', (_name, running, version, expected) => {
    expect(of(running, version)).toBe(expected);
  });

  test('what those run whom it will meet: not the lost one, whose place it takes', () => {
    const stepping = ['3.5.35', '3.6.16', '3.6.16'];
    expect(of(stepping, '3.5.35', 0)).toBe('3.6.16');
    expect(of(stepping, '3.5.35', 1)).toBe('3.5.35');
  });
});
