import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { createLeafKeys } from '../../../node-image/src/csr.ts';
import { MemberDisk } from '../../../node-image/src/member-disk.ts';
import { PkiStore } from '../../../node-image/src/pki-store.ts';
import { renewalDue } from '../../../node-image/src/renewal.ts';

const who = { tenantId: 'acme', memberName: 'maaaaaaa1' };
const first = {
  schemaVersion: 1,
  ...who,
  incarnation: 1,
  mode: 'new',
  etcdVersion: '3.6.16',
  etcdArguments: ['--name=a'],
  fence: 0,
} as const;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nanny-disk-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('keeps its state over a restart, every change of it', async () => {
  const disk = await MemberDisk.open(dir, who);
  expect(disk.saved).toBeUndefined();
  await disk.save(() => ({ ...first, etcdArguments: [...first.etcdArguments] }));
  await Promise.all([disk.update({ mode: 'resume' }), disk.update({ fence: 5 })]);
  const again = await MemberDisk.open(dir, who);
  expect(again.saved).toMatchObject({ mode: 'resume', fence: 5, incarnation: 1 });
  expect(statSync(join(disk.root, 'nanny.json')).mode & 0o777).toBe(0o600);
});

test('a directory without a WAL file is no data', async () => {
  const disk = await MemberDisk.open(dir, who);
  expect(disk.hasData()).toBe(false);
});

test.each([
  ['{', 'is not JSON'],
  ['{"schemaVersion":9}', 'schemaVersion'],
])('refuses a state it cannot understand: %s', async (content, text) => {
  await MemberDisk.open(dir, who);
  writeFileSync(join(dir, who.memberName, 'nanny.json'), content);
  await expect(MemberDisk.open(dir, who)).rejects.toThrow(text);
});

test('refuses the disk of another tenant', async () => {
  const disk = await MemberDisk.open(dir, who);
  await disk.save(() => ({ ...first, etcdArguments: [] }));
  await expect(MemberDisk.open(dir, { ...who, tenantId: 'other' })).rejects.toThrow('belongs to tenant acme');
});

test('new certificates come into force all at once, keys readable by us alone, old ones tidied away', async () => {
  const pki = createPki({ clock: { now: () => new Date() } });
  const ca = await pki.createAuthority('acme');
  const store = new PkiStore(dir);
  expect(await store.load()).toBeUndefined();
  for (const generation of ['1', '2', '3']) {
    const { keys, csrs } = createLeafKeys(who.memberName);
    const issued = await pki.signMemberLeaves(
      ca,
      { ...who, ip: '127.75.3.1', dnsName: 'acme.internal' },
      csrs,
      ca.certificate,
    );
    const identity = await store.install(issued, keys, generation);
    expect(identity.leaves.peer).toEqual({ cert: issued.peer, key: keys.peer });
    expect(identity.notAfter.toISOString()).toBe(new Date(issued.notAfter).toISOString());
    expect(readFileSync(join(store.directory, 'server.pem'), 'utf8')).toBe(issued.server);
    expect(statSync(join(store.directory, 'peer-key.pem')).mode & 0o777).toBe(0o600);
  }
  expect(readdirSync(dir).sort()).toEqual(['pki', 'pki-2', 'pki-3']);
});

test('certificates are due at two thirds of their life', () => {
  const notBefore = new Date('2026-01-01T00:00:00Z');
  const notAfter = new Date('2026-01-31T00:00:00Z');
  expect(renewalDue({ notBefore, notAfter })).toEqual(new Date('2026-01-21T00:00:00Z'));
});
