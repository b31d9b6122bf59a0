import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
  });

  test('patroni: hosts without scheme, protocol https, three files', async () => {
    const text = await connect('patroni');
    const value = (name: string) => JSON.parse(new RegExp(`^ {2}${name}: (".*")$`, 'm').exec(text)![1]!);
    const hosts = [...text.matchAll(/^ {4}- "(.*)"$/gm)].map(([, host]) => `https://${host}`);
    const files = { ca: value('cacert'), certificate: value('cert'), key: value('key') };
    await roundTrip(clientOf(hosts, files), '/service/test');
  });
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
