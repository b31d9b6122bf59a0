import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import { type TestCloud, testCloud, world } from './support/cloud.ts';

/** What `nanny connect` prints is used as it is, by the client it was printed for. */
let cloud: TestCloud;
let path: string;
const folder = mkdtempSync(join(tmpdir(), 'nanny-connect-'));

beforeAll(async () => {
  cloud = await testCloud();
  const { version } = await cloud.create('acme', { members: 1 });
  const { etcdctl } = await world.etcdBinaries(version, () => {});
  path = `${dirname(etcdctl)}:${process.env.PATH}`;
});
afterAll(async () => {
  await cloud?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Of kube-apiserver, as far as etcd is concerned. */
const kubeApiserverFlags = [
  'etcd-servers',
  'etcd-cafile',
  'etcd-certfile',
  'etcd-keyfile',
  'etcd-prefix',
  'etcd-compaction-interval',
  'etcd-db-metric-poll-interval',
];

/** As in a user's shell: nothing but PATH is set. */
const shell = (script: string, ...args: string[]) =>
  world.capture('/bin/sh', ['-euc', script, 'sh', ...args], { PATH: path });

async function connect(format: string, ...more: string[]): Promise<string> {
  const { code, stdout, stderr } = await cloud.cli('connect', 'acme', '--format', format, ...more);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

async function roundTrip(client: Etcd3, key: string): Promise<void> {
  try {
    await client.put(key).value('through etcd3');
    expect(await client.get(key).string()).toBe('through etcd3');
  } finally {
    client.close();
  }
}

const clientOf = (hosts: string[], files: { ca: string; certificate: string; key: string }) =>
  new Etcd3({
    hosts,
    credentials: {
      rootCertificate: readFileSync(files.ca),
      certChain: readFileSync(files.certificate),
      privateKey: readFileSync(files.key),
    },
  });

describe('connect', () => {
  test('env: eval in a shell, then etcdctl, without a word of complaint', async () => {
    const env = await connect('env');
    const ran = await shell('eval "$1"; etcdctl put env works; etcdctl get env --print-value-only', env);
    expect(ran).toEqual({ code: 0, stdout: 'OK\nworks\n', stderr: '' });
  });

  test('etcdctl: the command line, with arguments behind it', async () => {
    const line = (await connect('etcdctl')).trim();
    const ran = await shell(`${line} put line works; ${line} get line --print-value-only`);
    expect(ran).toEqual({ code: 0, stdout: 'OK\nworks\n', stderr: '' });
  });

  test('json: endpoints and files for the npm client etcd3', async () => {
    const { endpoints, files } = JSON.parse(await connect('json'));
    await roundTrip(clientOf(endpoints, files), 'json');
  });

  test('kube-apiserver: flags in a folder that needs nothing else', async () => {
    await connect('kube-apiserver', '--out', join(folder, 'k8s'));
    const flags = Object.fromEntries(
      readFileSync(join(folder, 'k8s/kube-apiserver.flags'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.slice(2).split('=') as [string, string]),
    );
    const files = {
      ca: flags['etcd-cafile']!,
      certificate: flags['etcd-certfile']!,
      key: flags['etcd-keyfile']!,
    };
    await roundTrip(clientOf(flags['etcd-servers']!.split(','), files), '/registry/test');
    expect(Object.keys(flags).filter((flag) => !kubeApiserverFlags.includes(flag))).toEqual([]);
    const ran = await shell(
      'etcdctl --endpoints="$1" --cacert="$2" --cert="$3" --key="$4" get /registry/test --print-value-only',
      ...[flags['etcd-servers']!, files.ca, files.certificate, files.key],
    );
    expect(ran).toEqual({ code: 0, stdout: 'through etcd3\n', stderr: '' });
  });

  test('a folder of --out and what is in it belong to their owner alone', async () => {
    const out = join(folder, 'k8s');
    const modes = Object.fromEntries(
      [out, ...readdirSync(out).map((file) => join(out, file))].map((file) => [
        relative(folder, file),
        (statSync(file).mode & 0o777).toString(8),
      ]),
    );
    expect(modes).toEqual({
      k8s: '700',
      'k8s/ca.pem': '600',
      'k8s/client.pem': '600',
      'k8s/client-key.pem': '600',
      'k8s/kube-apiserver.flags': '600',
    });
  });

  test('patroni: hosts without scheme, protocol https, three files', async () => {
    const text = await connect('patroni');
    const value = (name: string) => JSON.parse(new RegExp(`^ {2}${name}: (".*")$`, 'm').exec(text)![1]!);
    const hosts = [...text.matchAll(/^ {4}- "(.*)"$/gm)].map(([, host]) => `https://${host}`);
    const files = { ca: value('cacert'), certificate: value('cert'), key: value('key') };
    await roundTrip(clientOf(hosts, files), '/service/test');
  });
});

describe('credentials', () => {
  test('--csr: the certificate of a key that never left its owner opens etcd', async () => {
    const { csr, key } = await createPki({ clock: { now: () => new Date() } }).createClientKey('whoever');
    const [request, own] = [join(folder, 'alice.csr'), join(folder, 'alice-key.pem')];
    writeFileSync(request, csr);
    writeFileSync(own, key, { mode: 0o600 });
    const out = join(folder, 'alice');
    const issued = await cloud.cli('credentials', 'acme', '--user', 'alice', '--csr', request, '--out', out);
    expect(issued).toMatchObject({ code: 0 });
    expect(readdirSync(out).sort()).toEqual(['ca.pem', 'client.pem']);
    const { endpoints } = await cloud.tenant('acme');
    const ran = await shell(
      'etcdctl --endpoints="$1" --cacert="$2/ca.pem" --cert="$2/client.pem" --key="$3" put alice works',
      ...[endpoints.join(','), out, own],
    );
    expect(ran).toEqual({ code: 0, stdout: 'OK\n', stderr: '' });
  });

  test('--csr: a file that is missing or holds something else is a sentence', async () => {
    const missing = await cloud.cli('credentials', 'acme', '--user', 'alice', '--csr', join(folder, 'none'));
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/certificate request .*none cannot be read/);
    const wrong = await cloud.cli(
      'credentials',
      'acme',
      '--user',
      'a',
      '--csr',
      join(folder, 'alice-key.pem'),
    );
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/PKCS#10/);
    // What was sent by mistake is not shown again.
    expect(wrong.stdout + wrong.stderr).not.toContain('PRIVATE KEY');
  });
});

test('a tenant without a cluster yet, and one that is none, are a sentence', async () => {
  for (const zone of ['a', 'b', 'c'])
    cloud.cloud.chaos.failLaunchesInZone(`${cloud.cloud.region}${zone}`, 'refuse', 'no room');
  await cloud.api.call({ method: 'PUT', path: '/v1/tenants/young', body: { spec: { members: 1 } } });
  const young = await cloud.cli('connect', 'young', '--out', join(folder, 'young'));
  expect(young).toMatchObject({ code: 1, stdout: '' });
  expect(young.stderr).toMatch(
    /"young" has no cluster to connect to yet \(phase creating\)\. Try again when/,
  );
  expect(existsSync(join(folder, 'young'))).toBe(false);
  const nobody = await cloud.cli('connect', 'nobody');
  expect(nobody).toMatchObject({ code: 1, stdout: '' });
  expect(nobody.stderr).toMatch(/no tenant "nobody"/);
  for (const zone of ['a', 'b', 'c'])
    cloud.cloud.chaos.failLaunchesInZone(`${cloud.cloud.region}${zone}`, 'refuse', undefined);
});

test('nanny etcdctl gives output, exit code and own flags through', async () => {
  expect((await cloud.cli('etcdctl', 'acme', '--', 'put', 'hello', 'world')).stdout).toBe('OK\n');
  expect((await cloud.cli('etcdctl', 'acme', 'get', 'hello', '--print-value-only')).stdout).toBe('world\n');
  const json = await cloud.cli('etcdctl', 'acme', '--json', '--', 'get', 'hello');
  expect(JSON.parse(json.stdout).count).toBe(1);
  expect((await cloud.cli('etcdctl', 'acme', '--', 'frobnicate')).code).not.toBe(0);
});

test('a tenant made again under its old name is reached with new credentials, although old ones are cached', async () => {
  expect((await cloud.cli('delete', 'acme', '--yes', '--wait')).code).toBe(0);
  await cloud.create('acme', { members: 1 });
  const { code, stdout } = await cloud.cli('etcdctl', 'acme', '--', 'put', 'hello', 'again');
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'OK\n' });
});
