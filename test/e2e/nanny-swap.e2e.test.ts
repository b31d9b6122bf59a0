import { afterAll, beforeAll, expect, test } from 'vitest';
import { EtcdClient } from '../../node-image/src/etcd/client.ts';
import { admin } from '../node-image/src/support/admin-client.ts';
import { NannyCluster } from '../node-image/src/support/nanny-cluster.ts';
import { until } from '../node-image/src/support/until.ts';
import { etcdVersionsAtHand } from '../node-image/src/support/versions.ts';
import { Writer } from '../node-image/src/support/writer.ts';

const names = ['maaaaaaa1', 'maaaaaaa2', 'maaaaaaa3'];
const versions = await etcdVersionsAtHand();
const newest = (minor: string) => versions.find((version) => version.startsWith(`${minor}.`))!;
const from = newest('3.6');
const to = newest('3.5');

let cluster: NannyCluster;
let tenant: { ca: string; cert: string; key: string };

beforeAll(async () => {
  cluster = await NannyCluster.start(from);
  tenant = await cluster.controlPlane.tenantClient('alice');
  await Promise.all(names.map((name) => cluster.ready(name)));
});
afterAll(() => cluster.stop());

const ipOf = (name: string) => cluster.controlPlane.members[name]!;
async function change(name: string, path: string, body: object): Promise<object> {
  return await until(`${path} of ${name}`, async () => {
    const answer = await admin(cluster.tls, ipOf(name), path, { fence: 1, body });
    if (answer.status === 200) return answer.body;
    if (!answer.body.error?.retryable) throw Object.assign(new Error(answer.body.error?.message), { answer });
    return undefined;
  });
}
const swap = async (name: string, version: string) => {
  const { controlPlane } = cluster;
  const etcdArguments = controlPlane.etcdArguments(name, controlPlane.peerUrls(), 'existing', version);
  await change(name, '/v1/swap', { etcdVersion: version, etcdArguments });
};
async function swapAll(version: string): Promise<void> {
  const leader = await cluster.leader();
  for (const name of [...names.filter((other) => other !== leader), leader]) {
    await swap(name, version);
    // The same again is done already.
    await swap(name, version);
    const { self, etcd } = await until(`${name} runs ${version}`, async () => {
      const status = await cluster.status(name);
      return status.etcd.state === 'ready' && status.self?.version === version ? status : undefined;
    });
    expect([self?.version, etcd.restarts, etcd.lastExit]).toEqual([version, 0, undefined]);
  }
}

test('a version that the image does not carry is refused, and nothing is touched', async () => {
  const before = await cluster.status(names[0]!);
  const body = { etcdVersion: '3.4.99', etcdArguments: [] };
  const answer = await admin(cluster.tls, ipOf(names[0]!), '/v1/swap', { fence: 1, body });
  expect([answer.status, answer.body.error?.code]).toEqual([409, 'no-such-version']);
  expect((await cluster.status(names[0]!)).etcd.pid).toBe(before.etcd.pid);
});

test(`${from} goes down to ${to} in place under writes, leader last, and up again`, async () => {
  await until(
    'the cluster has its version',
    async () => (await cluster.status(names[0]!)).self?.storageVersion === '3.6.0',
  );
  const client = new EtcdClient(`https://${ipOf(names[0]!)}:2379`, tenant);
  await client.call('put', { key: Buffer.from('before'), value: Buffer.from('kept') });
  const invalid = { action: 'validate', version: '3.4.0' };
  const refused = await admin(cluster.tls, ipOf(names[1]!), '/v1/downgrade', { fence: 1, body: invalid });
  expect([refused.status, refused.body.error?.code]).toEqual([409, 'invalid-downgrade']);
  await change(names[0]!, '/v1/downgrade', { action: 'validate', version: '3.5.0' });
  await change(names[0]!, '/v1/downgrade', { action: 'enable', version: '3.5.0' });
  await change(names[1]!, '/v1/downgrade', { action: 'enable', version: '3.5.0' });
  await change(names[1]!, '/v1/downgrade', { action: 'cancel', version: '3.5.0' });
  await change(names[1]!, '/v1/downgrade', { action: 'cancel', version: '3.5.0' });
  await until(
    'the storage is back',
    async () => (await cluster.status(names[0]!)).self?.storageVersion === '3.6.0',
  );
  await change(names[0]!, '/v1/downgrade', { action: 'enable', version: '3.5.0' });
  for (const name of names) {
    await until('its storage went down', async () => {
      const { self, downgrade } = await cluster.status(name);
      return self?.storageVersion === '3.5.0' && downgrade?.enabled && downgrade.targetVersion === '3.5.0';
    });
  }
  const writer = new Writer(tenant, names.map(ipOf));
  await swapAll(to);
  await until('writes go on', () => writer.written > 50);
  await writer.stop();
  expect(writer.errors).toEqual([]);
  console.log(`${from} → ${to}: ${writer.written} writes, longest gap ${writer.longestGapMs.toFixed()} ms`);
  const { kvs } = await client.call('range', { key: Buffer.from('before') });
  expect(kvs.map(({ value }) => value.toString())).toEqual(['kept']);
  client.close();

  // Killed and started again it is what it was swapped to.
  cluster.nanny(names[0]!).killGroup();
  await cluster.nanny(names[0]!).exited;
  cluster.controlPlane.failWith = { status: 503, body: {} };
  cluster.launch(names[0]!);
  expect((await cluster.ready(names[0]!)).self.version).toBe(to);
  cluster.controlPlane.failWith = undefined;
  await swapAll(from);
});
