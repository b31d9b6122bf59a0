import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { type CliWorld, createCliWorld } from './world.ts';

let world: CliWorld;
beforeEach(async () => {
  world = await createCliWorld();
});
afterEach(() => world.close());

async function available(tenantId: string): Promise<void> {
  expect((await world.run(['create', tenantId])).code).toBe(0);
  await world.api.finishCreation(tenantId);
}

describe('requests', () => {
  test('are signed for execute-api, and writes carry an Idempotency-Key of their own', async () => {
    await world.run(['create', 'acme', '--members', '1', '--quota', '1GiB', '--storage', '20GiB']);
    await world.run(['create', 'bravo']);
    const [first, second] = world.requests.filter(({ method }) => method === 'PUT');
    expect(first!.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIATEST\/\d{8}\/us-east-1\/execute-api\/aws4_request, SignedHeaders=.*host.*Signature=[0-9a-f]{64}$/,
    );
    expect(first!.headers['x-amz-security-token']).toBe('token');
    expect(JSON.parse(first!.body)).toEqual({ spec: { members: 1, quotaMiB: 1024, storageGiB: 20 } });
    expect(first!.headers['idempotency-key']).not.toBe(second!.headers['idempotency-key']);
  });

  test('are repeated under the same Idempotency-Key when the API asks for it', async () => {
    let refused = 0;
    world.hooks.before = (method) =>
      method === 'PUT' && refused++ < 2
        ? new Response('{"message":"Service Unavailable"}', { status: 503 })
        : undefined;
    expect((await world.run(['create', 'acme'])).code).toBe(0);
    const puts = world.requests.filter(({ method }) => method === 'PUT');
    expect(puts).toHaveLength(3);
    expect(new Set(puts.map((put) => put.headers['idempotency-key'])).size).toBe(1);
  });
});

describe('waiting', () => {
  test('shows each step once and ends when the cluster is available', async () => {
    world.hooks.before = async (method, url) => {
      const waited = world.requests.filter((request) => request.url.includes('/operations/')).length;
      if (method === 'GET' && url.includes('/operations/') && waited === 3)
        await world.api.finishCreation('acme');
      return undefined;
    };
    const { code, out, err } = await world.run(['create', 'acme', '--wait']);
    expect(code).toBe(0);
    expect(out).toMatch(/^Tenant "acme" is available after .*: 3 members, etcd 3\.6\.16$/m);
    expect(out).toContain('  https://10.0.0.7:2379');
    expect(err.match(/launch-members: 3 members/g)).toHaveLength(1);
  });

  test('ends with the reason when the operation fails', async () => {
    world.hooks.before = async (method, url) => {
      if (method === 'GET' && url.includes('/operations/')) {
        const operation = (await world.api.store.listOperations('acme', { limit: 1 })).items[0]!;
        await world.api.store.putOperation({
          ...operation,
          state: 'failed',
          message: 'No capacity in us-east-1a',
        });
      }
      return undefined;
    };
    const { code, err, json } = await world.run(['create', 'acme', '--wait', '--json']);
    expect(code).toBe(1);
    expect(err).toMatch(/The create of "acme" failed: No capacity in us-east-1a/);
    expect(json.error.code).toBe('operation-failed');
  });

  test('gives up after --timeout and says that the work goes on', async () => {
    const { code, err } = await world.run(['create', 'acme', '--wait', '--timeout', '30s']);
    expect(code).toBe(1);
    expect(err).toMatch(/not done after 30\.\d s.*goes on by itself/);
  });
});

describe('reading', () => {
  test('no tenants yet says how to make one', async () => {
    const { code, out } = await world.run(['list']);
    expect(code).toBe(0);
    expect(out).toBe('No tenants yet. Create one: nanny create acme --members 3 --wait');
    expect((await world.run(['list', '--json'])).json).toEqual({ items: [] });
  });

  test('lists tenants in the order of their names', async () => {
    for (const id of ['t2', 't1']) await world.run(['create', id]);
    const { out } = await world.run(['list']);
    expect(out.split('\n').map((line) => line.split(' ')[0])).toEqual(['TENANT', 't1', 't2']);
    expect(out).toMatch(/^t1 +creating +0\/3 +3\.6\.16 +small +now$/m);
  });

  test('lists follow their cursors to the end', async () => {
    await world.run(['create', 'acme']);
    const tenant = (await world.run(['get', 'acme', '--json'])).json;
    world.hooks.before = (_method, url) => {
      if (!url.startsWith('/v1/tenants?')) return undefined;
      const last = url.includes('cursor=more');
      return Response.json(last ? { items: [tenant] } : { items: [tenant, tenant], cursor: 'more' });
    };
    expect((await world.run(['list', '--json'])).json.items).toHaveLength(3);
  });

  test('get --json has every promised field and times in ISO', async () => {
    await available('acme');
    const { json, out } = await world.run(['get', 'acme', '--json']);
    expect(Object.keys(json)).toEqual(
      expect.arrayContaining([
        'tenantId',
        'phase',
        'conditions',
        'clusterId',
        'version',
        'endpoints',
        'members',
      ]),
    );
    expect(Object.keys(json.members[0])).toEqual(
      expect.arrayContaining([
        'name',
        'zone',
        'ip',
        'clientUrl',
        'etcdId',
        'role',
        'isLeader',
        'version',
        'healthy',
        'taskArn',
      ]),
    );
    expect(json.createdAt).toBe('2026-11-22T12:00:00.000Z');
    expect(out.startsWith('{')).toBe(true);
    world.api.advance(180_000);
    const text = (await world.run(['get', 'acme'])).out;
    expect(text).toMatch(/^Created +3 min ago$/m);
    expect(text).toMatch(
      /mbbbbbbbb +us-east-1b +https:\/\/10\.0\.1\.7:2379 +2f +voting +3\.6\.16 +healthy, leader/,
    );
  });

  test('timeline and operations read from old to new, and new to old', async () => {
    await available('acme');
    const timeline = await world.run(['timeline', 'acme']);
    expect(timeline.out).toMatch(/decided +- +Creation asked for: 3 member\(s\), etcd 3\.6\.16/);
    const operations = await world.run(['operations', 'acme']);
    expect(operations.out).toMatch(/^create {2}succeeded .* took 0 ms/m);
    expect(operations.out).toMatch(/done +launch-members: 3 members \(0 ms\)/);
    const { items } = (await world.run(['operations', 'acme', '--json'])).json;
    const one = await world.run(['operations', 'acme', items[0].operationId, '--json']);
    expect(one.json).toEqual(items[0]);
  });

  test('an unknown tenant is a sentence and exit code 1', async () => {
    for (const command of ['get', 'timeline', 'operations', 'connect']) {
      const { code, out, err } = await world.run([command, 'nobody']);
      expect(code).toBe(1);
      expect(out).toBe('');
      expect(err).toMatch(/^There is no tenant "nobody"\./);
    }
  });

  test('versions marks the default', async () => {
    expect((await world.run(['versions'])).out).toMatch(/^3\.6\.16 \(default\) +supported/m);
  });
});

describe('changing and deleting', () => {
  test('protection is switched on and off, and blocks deletion', async () => {
    await available('acme');
    expect((await world.run(['update', 'acme', '--deletion-protection'])).out).toMatch(
      /cannot be deleted now/,
    );
    const refused = await world.run(['delete', 'acme', '--yes', '--json']);
    expect(refused.code).toBe(1);
    expect(refused.json.error).toMatchObject({ code: 'deletion-protected' });
    expect(refused.err).toContain('nanny update acme --no-deletion-protection');
    await world.run(['update', 'acme', '--no-deletion-protection']);
    const gone = await world.run(['delete', 'acme', '--yes', '--json']);
    expect(gone.json.operation).toMatchObject({ kind: 'delete', state: 'pending' });
  });

  test('delete --no-final-backup does without it', async () => {
    await available('acme');
    await world.run(['delete', 'acme', '--yes', '--no-final-backup']);
    expect(world.requests.at(-1)?.url).toBe('/v1/tenants/acme?finalBackup=false');
  });

  test('delete without --yes is wrong use and sends nothing', async () => {
    const { code, err } = await world.run(['delete', 'acme']);
    expect(code).toBe(2);
    expect(err).toMatch(/with all its data.*nanny delete acme --yes/);
    expect(world.requests).toEqual([]);
  });

  test('update without a change is wrong use', async () => {
    expect((await world.run(['update', 'acme'])).code).toBe(2);
  });
});

describe('credentials', () => {
  test('go into private files; the key is made here and never travels', async () => {
    await available('acme');
    const { code, json } = await world.run([
      'credentials',
      'acme',
      '--user',
      'alice',
      '--ttl',
      '2h',
      '--out',
      'alice',
      '--json',
    ]);
    expect(code).toBe(0);
    expect(json.privateKey).toBeUndefined();
    const key = readFileSync(join(world.dir, 'alice/client-key.pem'), 'utf8');
    expect(statSync(join(world.dir, 'alice/client-key.pem')).mode & 0o777).toBe(0o600);
    expect(statSync(join(world.dir, 'alice')).mode & 0o777).toBe(0o700);
    const certificate = new X509Certificate(readFileSync(join(world.dir, 'alice/client.pem')));
    expect(certificate.subject).toContain('CN=alice');
    expect(json.notAfter).toBe('2026-11-22T14:00:00.000Z');
    const sent = world.requests.at(-1)!.body;
    expect(JSON.parse(sent)).toMatchObject({
      user: 'alice',
      ttlSeconds: 7200,
      csr: expect.stringContaining('CERTIFICATE REQUEST'),
    });
    expect(sent).not.toContain(key.split('\n')[1]);
  });

  test('are printed without --out, for the caller’s own request without a key', async () => {
    await available('acme');
    const { csr } = await createPki({ clock: { now: () => new Date() } }).createClientKey('x');
    writeFileSync(join(world.dir, 'my.csr'), csr);
    const { code, out } = await world.run(['credentials', 'acme', '--user', 'bob', '--csr', 'my.csr']);
    expect(code).toBe(0);
    expect(out.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(out).not.toContain('PRIVATE KEY');
    const missing = await world.run(['credentials', 'acme', '--user', 'bob', '--csr', 'none.csr']);
    expect(missing.code).toBe(1);
    expect(missing.err).toMatch(/none\.csr cannot be read/);
  });
});

describe('connect', () => {
  test.each(['env', 'json', 'etcdctl', 'kube-apiserver', 'patroni'])(
    '%s names files that exist',
    async (format) => {
      await available('acme');
      const { code, out, err } = await world.run(['connect', 'acme', '--format', format]);
      expect(code).toBe(0);
      expect(err).toMatch(/short-lived; .*--out <dir>/);
      const files = [...out.matchAll(/\/[^\s",]+\.pem/g)].map(([file]) => file);
      expect(new Set(files).size).toBe(3);
      for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(out).toContain('10.0.0.7:2379');
    },
  );

  test('--out writes configuration and credentials for a month', async () => {
    await available('acme');
    const { code } = await world.run([
      'connect',
      'acme',
      '--format',
      'kube-apiserver',
      '--endpoints',
      'dns',
      '--out',
      'k8s',
    ]);
    expect(code).toBe(0);
    expect(readFileSync(join(world.dir, 'k8s/kube-apiserver.flags'), 'utf8')).toBe(
      '--etcd-servers=https://acme.etcd-nanny.internal:2379\n' +
        `--etcd-cafile=${world.dir}/k8s/ca.pem\n--etcd-certfile=${world.dir}/k8s/client.pem\n` +
        `--etcd-keyfile=${world.dir}/k8s/client-key.pem\n`,
    );
    expect(JSON.parse(world.requests.at(-1)!.body).ttlSeconds).toBe(30 * 86_400);
  });
});

describe('etcdctl', () => {
  const issued = () => world.requests.filter(({ url }) => url.endsWith('/credentials')).length;

  test('runs the tenant’s version with its own credentials, and gives its exit code on', async () => {
    await available('acme');
    const { code } = await world.run(['etcdctl', 'acme', '--', 'put', 'hello', '--', '-world']);
    expect(code).toBe(7);
    const { program, args, env } = world.ran[0]!;
    expect(program).toBe('/etcd/3.6.16/etcdctl');
    expect(args).toEqual(['put', 'hello', '--', '-world']);
    expect(env.ETCDCTL_ENDPOINTS).toBe('https://10.0.0.7:2379,https://10.0.1.7:2379,https://10.0.2.7:2379');
    expect(readFileSync(env.ETCDCTL_KEY!, 'utf8')).toContain('PRIVATE KEY');
    expect(env.ETCDCTL_USER).toBeUndefined();
    expect(env.PATH).toBe('/bin');
  });

  test('works without -- too; flags of its own take the place of our variables', async () => {
    await available('acme');
    await world.run([
      'etcdctl',
      'acme',
      '--url',
      world.url,
      'get',
      '--prefix',
      '',
      '--endpoints=https://10.0.0.7:2379',
    ]);
    expect(world.ran[0]!.args).toEqual(['get', '--prefix', '', '--endpoints=https://10.0.0.7:2379']);
    expect(world.ran[0]!.env.ETCDCTL_ENDPOINTS).toBeUndefined();
    await world.run(['etcdctl', 'acme', '--json', '--', 'get', 'x']);
    expect(world.ran[1]!.args).toEqual(['get', 'x', '-w', 'json']);
  });

  test('keeps its certificate until shortly before it ends, or until the tenant is another one', async () => {
    await available('acme');
    const get = () => world.run(['etcdctl', 'acme', '--', 'get', 'x']);
    await get();
    await get();
    expect(issued()).toBe(1);
    world.api.advance(55 * 60_000);
    await get();
    expect(issued()).toBe(2);
    const tenant = (await world.api.store.get('acme'))!;
    const ca = await world.api.deps.pki.createAuthority('acme');
    const caKey = await world.api.keyVault.encrypt('acme', 'ca', ca.key);
    const pki = { ...tenant.pki!, caBundle: ca.certificate, caKey };
    await world.api.store.save(
      { ...tenant, recordVersion: tenant.recordVersion + 1, pki },
      tenant.recordVersion,
    );
    await get();
    expect(issued()).toBe(3);
  });
});
