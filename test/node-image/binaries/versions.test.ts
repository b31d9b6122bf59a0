import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { preferredVersions } from '../../../node-image/binaries/any.ts';
import {
  etcdVersions,
  gateFor,
  isOffered,
  minorOf,
  newestOfMinor,
  versionsInState,
  versionsSchema,
} from '../../../node-image/binaries/versions.ts';

const buildFolder = new URL('../../../node-image/etcd-build/', import.meta.url);

describe('the list of versions', () => {
  test('offers at least two patches of 3.5, 3.6 and 3.7, and its default is the newest 3.6', () => {
    for (const minor of ['3.5', '3.6', '3.7']) {
      expect(
        versionsInState('supported').filter((version) => minorOf(version) === minor).length,
      ).toBeGreaterThan(1);
    }
    expect(etcdVersions.default).toBe(newestOfMinor('3.6'));
  });

  test('never offers a version of the gate list', () => {
    for (const version of ['3.4.23', '3.5.16', '3.5.30', '9.9.9', 'constructor']) {
      expect(isOffered(version), version).toBe(false);
    }
  });

  test('is refused when a version that is not supported has no reason', () => {
    const document = structuredClone(etcdVersions);
    delete document.versions['3.5.30']!.reason;
    expect(versionsSchema.safeParse(document).success).toBe(false);
  });

  test('is refused when the default is not supported', () => {
    expect(versionsSchema.safeParse({ ...etcdVersions, default: '3.5.30' }).success).toBe(false);
  });

  test('has a build folder for each version with Go modules, pinning the same modules by the same hashes', async () => {
    const buildable = Object.entries(etcdVersions.versions).filter(([, entry]) => entry.goModules);
    expect((await readdir(buildFolder)).sort()).toEqual(buildable.map(([version]) => version).sort());
    for (const [version, entry] of buildable) {
      const goMod = await readFile(new URL(`${version}/go.mod`, buildFolder), 'utf8');
      const goSum = await readFile(new URL(`${version}/go.sum`, buildFolder), 'utf8');
      for (const name of ['server', 'etcdctl', 'etcdutl'] as const) {
        const module = `go.etcd.io/etcd/${name}/v3 v${version}`;
        expect(goMod).toContain(`\t${module}\n`);
        expect(goSum).toContain(`${module} ${entry.goModules![name]}\n`);
      }
    }
  });
});

test('the best version comes first, refused ones never, deprecated ones last', () => {
  const all = preferredVersions();
  expect(all[0]).toBe(etcdVersions.default);
  expect(all.slice(-2)).toEqual(['3.5.30', '3.5.16']);
  expect(all).not.toContain('3.4.23');
  expect(preferredVersions(['3.5'])[0]).toBe('3.5.35');
  expect(preferredVersions(['3.7', '3.5']).map(minorOf).slice(0, 3)).toEqual(['3.7', '3.7', '3.5']);
});

describe('an upgrade', () => {
  test.each([
    ['3.6.14', '3.6.16'],
    ['3.5.30', '3.5.35'],
    ['3.5.16', '3.5.30'],
    ['3.5.35', '3.6.16'],
    ['3.6.16', '3.7.3'],
  ])('%s to %s is allowed', (from, to) => {
    expect(gateFor(from, to)).toEqual({ allowed: true });
  });

  test.each([
    ['3.5.30', '3.6.16', /3\.5\.32/, '3.5.35'],
    ['3.6.8', '3.7.3', /3\.6\.11/, '3.6.16'],
    ['3.5.35', '3.7.3', /one minor at a time/, '3.6.16'],
    ['3.6.16', '3.5.35', /downgrade/, undefined],
    ['3.5.35', '3.5.16', /older and deprecated/, undefined],
    ['3.5.35', '3.4.23', /refused/, undefined],
    ['3.6.16', '3.6.99', /not a version we know/, undefined],
    ['3.7.3', '3.9.0', /not a version we know/, undefined],
  ])('%s to %s is refused and says what comes first', (from, to, reason, first) => {
    const gate = gateFor(from, to);
    expect(gate).toMatchObject({ allowed: false, reason: expect.stringMatching(reason) });
    expect('first' in gate ? gate.first : undefined).toBe(first);
  });
});
