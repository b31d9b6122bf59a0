import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { etcd3Client, etcdctl, issueCredentials } from './support/clients.ts';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { isWell } from './support/operating.ts';
import { until } from './support/until.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(() => cloud?.dispose());

interface MemberList {
  readonly members: readonly {
    ID: number | string;
    name: string;
    clientURLs: string[];
    peerURLs: string[];
  }[];
}

const zonesOf = (tenant: TenantDocument): number[] => {
  const zones = new Map<string, number>();
  for (const { zone } of tenant.members) zones.set(zone, (zones.get(zone) ?? 0) + 1);
  return [...zones.values()].sort();
};

describe.each([
  { tenantId: 'one', members: 1, zones: [1] },
  { tenantId: 'three', members: 3, zones: [1, 1, 1] },
  { tenantId: 'five', members: 5, zones: [1, 2, 2] },
])('a cluster of $members', ({ tenantId, members, zones }) => {
  let tenant: TenantDocument;
  beforeAll(async () => {
    tenant = await cloud.create(tenantId, { members });
  });

  test('is available, spread over the zones, each member healthy, one leader', () => {
    expect(tenant.phase).toBe('available');
    expect(tenant.members).toHaveLength(members);
    expect(zonesOf(tenant)).toEqual(zones);
    expect(tenant.members.every((member) => member.healthy && member.role === 'voting')).toBe(true);
    expect(tenant.members.filter((member) => member.isLeader)).toHaveLength(1);
    expect(tenant.conditions.filter(({ status }) => status === 'False')).toEqual([]);
    expect(isWell(tenant)).toBe(true);
  });

  test('etcdctl member list agrees with nanny get', async () => {
    const ctl = await etcdctl(cloud, tenantId);
    const text = await ctl.run('member', 'list', '-w', 'json', '--hex');
    ctl.dispose();
    // IDs are uint64: read them as text before JSON.parse rounds them.
    const list: MemberList = JSON.parse(text.replace(/"ID":(\d+)/g, '"ID":"$1"'));
    const theirs = list.members.map((member) => ({ name: member.name, clientUrl: member.clientURLs[0] }));
    const ours = tenant.members.map(({ name, clientUrl }) => ({ name, clientUrl }));
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    expect(theirs.sort(byName)).toEqual(ours.sort(byName));
    const shown = await cloud.cli('get', tenantId, '--json');
    expect(shown.code).toBe(0);
    const document = JSON.parse(shown.stdout) as TenantDocument;
    const simple = await etcdctlMembers(tenantId);
    expect(Object.fromEntries(document.members.map((member) => [member.name, member.etcdId]))).toEqual(
      simple,
    );
  });

  test('put, get, watch, lease and transaction work with the npm client', async () => {
    const client = await etcd3Client(cloud, tenantId);
    try {
      await client.put('greeting').value('hello');
      expect(await client.get('greeting').string()).toBe('hello');

      const watcher = await client.watch().key('watched').create();
      const event = new Promise<string>((resolve) => watcher.on('put', (kv) => resolve(kv.value.toString())));
      await client.put('watched').value('seen');
      expect(await event).toBe('seen');
      await watcher.cancel();

      const lease = client.lease(10);
      await lease.put('leased').value('here');
      expect(await client.get('leased').string()).toBe('here');
      await lease.revoke();
      expect(await client.get('leased').string()).toBeNull();

      const swap = await client
        .if('greeting', 'Value', '==', 'hello')
        .then(client.put('greeting').value('swapped'))
        .else(client.get('greeting'))
        .commit();
      expect(swap.succeeded).toBe(true);
      expect(await client.get('greeting').string()).toBe('swapped');
    } finally {
      client.close();
    }
  });

  test('the same works with etcdctl', async () => {
    const ctl = await etcdctl(cloud, tenantId);
    try {
      expect(await ctl.run('put', 'ctl', '1')).toBe('OK');
      expect(await ctl.run('get', 'ctl', '--print-value-only')).toBe('1');
      const [, lease] = /lease ([0-9a-f]+) granted/.exec(await ctl.run('lease', 'grant', '30')) ?? [];
      expect(await ctl.run('put', '--lease', lease!, 'ctl-leased', '2')).toBe('OK');
      await ctl.run('lease', 'revoke', lease!);
      expect(await ctl.run('get', 'ctl-leased', '--print-value-only')).toBe('');
      expect(await ctl.run('endpoint', 'health')).not.toContain('unhealthy');
    } finally {
      ctl.dispose();
    }
  });

  test('every member answers on the JSON gateway of its client URL', async () => {
    const credentials = await issueCredentials(cloud, tenantId);
    for (const endpoint of tenant.endpoints) {
      const answer = await gateway(`${endpoint}/v3/maintenance/status`, credentials);
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({ version: tenant.version });
    }
  });

  test('the name of the tenant lists the addresses of all members', async () => {
    const connection = await cloud.cli('connect', tenantId, '--format', 'json');
    expect(connection.code).toBe(0);
    expect(connection.stdout).toContain(tenant.dnsName);
    const calls = cloud.cloud.faults.calls({ function: 'create' });
    expect(calls.filter(({ operation }) => operation === 'RegisterInstance').length).toBeGreaterThanOrEqual(
      members,
    );
  });
});

test("tenant A's certificate is refused by tenant B", async () => {
  const [stranger, other] = await Promise.all([issueCredentials(cloud, 'one'), cloud.tenant('three')]);
  const own = await issueCredentials(cloud, 'three');
  for (const endpoint of other.endpoints) {
    await expect(
      gateway(`${endpoint}/v3/maintenance/status`, { ...stranger, caBundle: own.caBundle }),
    ).rejects.toThrow();
    const answer = await gateway(`${endpoint}/v3/maintenance/status`, own);
    expect(answer.status).toBe(200);
  }
});

test('a tenant certificate opens neither the admin API nor the peer port', async () => {
  const { members } = await cloud.tenant('one');
  const own = await issueCredentials(cloud, 'one');
  const admin = await gateway(`https://${members[0]!.ip}:2378/v1/status`, own, 'GET');
  expect(admin.status).toBe(403);
  expect(admin.body).toMatch(/control plane|not allowed|tenant/i);
  await expect(gateway(`https://${members[0]!.ip}:2380/members`, own, 'GET')).rejects.toThrow();
});

test('delete stops the tasks, removes name, credentials and records; the name is free again', async () => {
  await cloud.create('brief', { members: 1 });
  const { members } = await cloud.tenant('brief');
  const refused = await cloud.cli('delete', 'brief');
  expect(refused.code).toBe(2);
  const gone = await cloud.cli('delete', 'brief', '--yes', '--json');
  expect(gone.code).toBe(0);
  await until('the record to be gone', async () => (await cloud.cli('get', 'brief')).code === 1);
  await expect(gateway(`https://${members[0]!.ip}:2379/version`, undefined, 'GET')).rejects.toThrow();
  const again = await cloud.create('brief', { members: 1 });
  expect(again.members[0]!.name).not.toBe(members[0]!.name);
});

test('an issued certificate names its user and lives as long as asked', async () => {
  const issued = await cloud.cli('credentials', 'one', '--user', 'alice', '--ttl', '24h', '--json');
  expect(issued.code).toBe(0);
  const document = JSON.parse(issued.stdout);
  const certificate = new X509Certificate(document.certificate ?? readFileSync(document.files.certificate));
  expect(certificate.subject).toContain('CN=alice');
  const hours = (Date.parse(certificate.validTo) - Date.now()) / 3_600_000;
  expect(hours).toBeGreaterThan(23.8);
  expect(hours).toBeLessThan(24.1);
});

async function etcdctlMembers(tenantId: string): Promise<Record<string, string>> {
  const ctl = await etcdctl(cloud, tenantId);
  const lines = (await ctl.run('member', 'list')).split('\n').map((line) => line.split(', '));
  ctl.dispose();
  return Object.fromEntries(lines.map(([id, , name]) => [name!, id!]));
}

function gateway(
  url: string,
  tls: { caBundle: string; certificate: string; privateKey: string } | undefined,
  method: 'GET' | 'POST' = 'POST',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        method,
        timeout: 5_000,
        ...(tls && { ca: tls.caBundle, cert: tls.certificate, key: tls.privateKey }),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', reject);
    call.end(method === 'POST' ? '{}' : undefined);
  });
}
