import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { diskFence, Fence } from '../../../node-image/src/admin/fence.ts';
import { type AdminServer, startAdminServer } from '../../../node-image/src/admin/server.ts';
import { createLeafKeys } from '../../../node-image/src/csr.ts';
import type { EtcdClient } from '../../../node-image/src/etcd/client.ts';
import { EtcdError, fromGrpcStatus } from '../../../node-image/src/etcd/errors.ts';
import type { ClientTls } from '../../../node-image/src/etcd/grpc.ts';
import { admin } from './support/admin-client.ts';

const ip = '127.75.2.1';
const port = 4752;
const dnsName = 'acme.etcd-nanny.internal';
const pki = createPki({ clock: { now: () => new Date() } });
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

let server: AdminServer;
let leaves: Record<'admin' | 'peer' | 'server' | 'client', ClientTls>;
let controlPlane: ClientTls;
let tenant: ClientTls;
let stranger: ClientTls;
let fence = 0;
let diskFault: string | undefined;
let called: unknown[] = [];
let downgradeTo = '';
let etcdSays: (call: string) => unknown = () => ({});

async function issueLeaves(ca: { certificate: string; key: string }) {
  const { keys, csrs } = createLeafKeys('maaaaaaa1');
  const identity = { tenantId: 'acme', memberName: 'maaaaaaa1', ip, dnsName };
  const issued = await pki.signMemberLeaves(ca, identity, csrs, ca.certificate);
  const leaf = (role: keyof typeof keys) => ({ ca: ca.certificate, cert: issued[role], key: keys[role] });
  return { admin: leaf('admin'), peer: leaf('peer'), server: leaf('server'), client: leaf('client') };
}

async function controlPlaneOf(ca: { certificate: string; key: string }): Promise<ClientTls> {
  const { certificate, key } = await pki.createControlPlaneLeaf(ca, 'acme');
  return { ca: ca.certificate, cert: certificate, key };
}

const update = async (change: { fence?: number }) => {
  if (diskFault) throw Object.assign(new Error(diskFault), { code: diskFault });
  fence = change.fence ?? fence;
};

beforeAll(async () => {
  const ca = await pki.createAuthority('acme');
  const other = await pki.createAuthority('other');
  leaves = await issueLeaves(ca);
  controlPlane = await controlPlaneOf(ca);
  stranger = { ...(await controlPlaneOf(other)), ca: ca.certificate };
  const { key, csr } = await pki.createClientKey('alice');
  const { certificate } = await pki.signClient(ca, 'alice', csr, 3600);
  tenant = { ca: ca.certificate, cert: certificate, key };
  const etcd = {
    call: async (name: string, request: unknown) => {
      called.push([name, request]);
      return etcdSays(name);
    },
    members: async () => etcdSays('memberList'),
    statusAndDowngrade: async () => ({ downgrade: { enabled: true, targetVersion: downgradeTo } }),
  } as unknown as EtcdClient;
  server = await startAdminServer(
    { ip, port, tls: leaves.admin, log: quiet },
    {
      status: async () => ({ memberName: 'maaaaaaa1' }) as never,
      changed: () => undefined,
      etcd: () => etcd,
      snapshot: (request) => {
        called.push(['snapshot', request]);
        return { state: 'running', bytes: 0 };
      },
      backup: async (order) => void called.push(['backup', order]),
      swap: async (request) => void called.push(['swap', request]),
      renew: async (order) => void called.push(['renew', order]),
      fence: new Fence(
        diskFence(
          {
            get saved() {
              return { fence } as never;
            },
            update,
          },
          quiet,
        ),
      ),
    },
  );
});
afterAll(() => server.close());
beforeEach(() => {
  fence = 0;
  called = [];
  etcdSays = () => ({});
});

const get = (tls: ClientTls, path: string) => admin(tls, ip, path, undefined, port);
const post = (path: string, body: unknown, token: number | string | undefined = 1, tls = controlPlane) =>
  admin(tls, ip, path, { body, fence: token }, port);

describe('who may call', () => {
  test('control plane and nannies of the tenant may look', async () => {
    expect((await get(controlPlane, '/v1/status')).status).toBe(200);
    expect((await get(leaves.admin, '/v1/status')).status).toBe(200);
  });

  test.each(['peer', 'server', 'client', 'tenant'] as const)('the %s certificate may not', async (role) => {
    const tls = role === 'tenant' ? tenant : leaves[role];
    const { status, body } = await get(tls, '/v1/status');
    expect([status, body.error?.code]).toEqual([403, 'forbidden']);
    expect(body.error?.message).toContain('for the control plane only');
  });

  test('nannies may not change anything', async () => {
    const { status, body } = await post('/v1/defragment', {}, 1, leaves.admin);
    expect([status, body.error?.code]).toEqual([403, 'forbidden']);
    expect(called).toEqual([]);
  });

  test('the control plane certificate of another tenant does not get past the handshake', async () => {
    await expect(get(stranger, '/v1/status')).rejects.toThrow();
    await expect(get({ ca: stranger.ca } as ClientTls, '/v1/status')).rejects.toThrow();
  });

  test('after a renewal new handshakes get the new certificate', async () => {
    const ca = await pki.createAuthority('acme');
    const renewed = await issueLeaves(ca);
    server.renew({ ...renewed.admin, ca: `${ca.certificate}${controlPlane.ca}` });
    await expect(get(controlPlane, '/v1/status')).rejects.toThrow();
    expect((await get({ ...controlPlane, ca: ca.certificate }, '/v1/status')).status).toBe(200);
    server.renew(leaves.admin);
    expect((await get(controlPlane, '/v1/status')).status).toBe(200);
  });
});

describe('fencing', () => {
  test('a change raises the fence, an older one is refused', async () => {
    expect((await post('/v1/defragment', {}, 7)).status).toBe(200);
    expect(fence).toBe(7);
    const { status, body } = await post('/v1/defragment', {}, 6);
    expect([status, body.error?.code, body.error?.retryable]).toEqual([409, 'fenced', false]);
    expect((await post('/v1/defragment', {}, 7)).status).toBe(200);
    expect(called).toHaveLength(2);
  });

  test('on a full disk a higher fence is kept in memory, so that the way out stays open', async () => {
    const logged: string[] = [];
    const disk = { saved: { fence: 3 } as never, update };
    const guard = new Fence(diskFence(disk, { ...quiet, warn: (message) => void logged.push(message) }));
    diskFault = 'ENOSPC';
    expect(await guard.guard('8', async () => 'done')).toBe('done');
    expect(logged).toEqual([expect.stringContaining('The disk is full')]);
    await expect(guard.guard('7', async () => 'done')).rejects.toMatchObject({ code: 'fenced' });
    diskFault = 'EIO';
    await expect(guard.guard('9', async () => 'done')).rejects.toThrow('EIO');
    diskFault = undefined;
    expect(await guard.guard('9', async () => 'done')).toBe('done');
    expect(fence).toBe(9);
  });

  test('a question needs no fence', async () => {
    fence = 9;
    etcdSays = () => ({ hash: 17, hashRevision: '0', compactRevision: '4' });
    expect(await post('/v1/hashkv', { revision: 12 }, 0)).toEqual({
      status: 200,
      body: { hash: 17, hashRevision: 12, compactRevision: 4 },
    });
    expect((await post('/v1/hashkv', { revision: 12 }, 0, leaves.admin)).status).toBe(403);
  });

  test('changes run one after the other', async () => {
    let running = 0;
    let most = 0;
    etcdSays = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running -= 1;
      return {};
    };
    await Promise.all([1, 2, 3, 4].map(() => post('/v1/defragment', {}, 3)));
    expect(most).toBe(1);
  });

  test('a failed change does not block the next', async () => {
    etcdSays = () => {
      throw new EtcdError('etcd-down', 'down', { retryable: true });
    };
    expect((await post('/v1/defragment', {})).status).toBe(503);
    etcdSays = () => ({});
    expect((await post('/v1/defragment', {})).status).toBe(200);
  });
});

test.each([
  ['/v1/members/remove', { etcdId: '1', force: true }, 1, 400, 'invalid-request', 'force'],
  ['/v1/members/remove', { etcdId: 'XYZ' }, 1, 400, 'invalid-request', 'etcdId'],
  ['/v1/members/remove', '{', 1, 400, 'invalid-request', 'not JSON'],
  ['/v1/members/add-learner', { peerUrl: 'no url' }, 1, 400, 'invalid-request', 'peerUrl'],
  ['/v1/compact', { revision: 0 }, 1, 400, 'invalid-request', 'revision'],
  ['/v1/defragment', {}, undefined, 400, 'invalid-request', 'x-fencing-token'],
  ['/v1/defragment', {}, 'seven', 400, 'invalid-request', 'x-fencing-token'],
  ['/v1/defragment', 'x'.repeat(70_000), 1, 413, 'too-large', '64 KiB'],
  ['/v1/status', {}, 1, 405, 'method-not-allowed', 'takes GET'],
  ['/v1/nothing', {}, 1, 404, 'not-found', 'no route'],
] as const)('refuses a bad request: %s %j %s', async (path, body, token, status, code, text) => {
  const answer = await admin(controlPlane, ip, path, { body, fence: token }, port);
  expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
  expect(answer.body.error?.message).toContain(text);
  expect(called).toEqual([]);
});

test.each([
  [14, 'etcdserver: unhealthy cluster', 503, 'unhealthy-cluster', true],
  [
    9,
    'etcdserver: can only promote a learner member which is in sync with leader',
    503,
    'learner-not-ready',
    true,
  ],
  [9, 'etcdserver: too many learner members in cluster', 409, 'too-many-learners', false],
  [5, 'etcdserver: member not found', 404, 'member-not-found', false],
  [9, 'etcdserver: not leader', 503, 'not-leader', true],
  [14, 'etcdserver: request timed out', 504, 'timeout', true],
  [4, 'context deadline exceeded', 504, 'timeout', true],
  [14, 'connection refused', 503, 'etcd-down', true],
  [8, 'etcdserver: mvcc: database space exceeded', 409, 'etcd-refused', false],
])('passes on what etcd refuses: %i %s', async (grpcCode, text, status, code, retryable) => {
  etcdSays = () => {
    throw fromGrpcStatus('MemberPromote', grpcCode, text);
  };
  const answer = await post('/v1/members/remove', { etcdId: 'ab' });
  expect(answer).toMatchObject({ status, body: { error: { code, retryable } } });
});

test('adding a learner that is there already answers with its id; a voter under that address is an error', async () => {
  const peerUrl = 'https://10.0.0.9:2380';
  const members = (isLearner: boolean) => ({
    clusterId: '1',
    members: [{ id: 'ab', isLearner, peerUrls: [peerUrl] }],
  });
  const there = (isLearner: boolean) => (call: string) => {
    if (call === 'memberList') return members(isLearner);
    throw fromGrpcStatus('MemberAdd', 9, 'etcdserver: Peer URLs already exists');
  };
  etcdSays = there(true);
  expect((await post('/v1/members/add-learner', { peerUrl })).body).toEqual({ etcdId: 'ab' });
  etcdSays = there(false);
  expect((await post('/v1/members/add-learner', { peerUrl })).body.error?.code).toBe('peer-url-exists');
});

test('promoting a member that votes already is done', async () => {
  etcdSays = () => {
    throw fromGrpcStatus('MemberPromote', 9, 'etcdserver: can only promote a learner member');
  };
  expect(await post('/v1/members/promote', { etcdId: 'ab' })).toEqual({ status: 200, body: {} });
});

test('orders of snapshots and swaps are passed on', async () => {
  const snapshot = { bucket: 'b', key: 'k' };
  expect((await post('/v1/snapshot', snapshot)).body).toEqual({ state: 'running', bytes: 0 });
  const swap = { etcdVersion: '3.5.35', etcdArguments: ['--name=a'] };
  expect((await post('/v1/swap', swap)).body).toEqual({});
  expect(called).toEqual([
    ['snapshot', snapshot],
    ['swap', swap],
  ]);
});

test('a downgrade that is enabled, or cancelled, already is done; another one is refused', async () => {
  const enable = { action: 'enable', version: '3.5.0' };
  etcdSays = () => {
    throw fromGrpcStatus('Downgrade', 9, 'etcdserver: cluster has a downgrade job in progress');
  };
  downgradeTo = '3.5.0';
  expect(await post('/v1/downgrade', enable)).toEqual({ status: 200, body: {} });
  expect(called.at(-1)).toEqual(['downgrade', { action: 1, version: '3.5.0' }]);
  downgradeTo = '3.6.0';
  expect((await post('/v1/downgrade', enable)).body.error?.code).toBe('downgrade-running');
  etcdSays = () => {
    throw fromGrpcStatus('Downgrade', 9, 'etcdserver: no inflight downgrade job');
  };
  expect((await post('/v1/downgrade', { ...enable, action: 'cancel' })).status).toBe(200);
  expect((await post('/v1/downgrade', { ...enable, action: 'force' })).body.error?.code).toBe(
    'invalid-request',
  );
});

test('disarms each alarm by its own member', async () => {
  const alarms = [
    { memberId: 'a', alarm: 1 },
    { memberId: 'b', alarm: 2 },
  ];
  etcdSays = () => ({ alarms });
  expect((await post('/v1/alarms/disarm', {})).body).toEqual({ disarmed: 2 });
  expect(called.slice(1)).toEqual([
    ['alarm', { action: 2, ...alarms[0] }],
    ['alarm', { action: 2, ...alarms[1] }],
  ]);
});
