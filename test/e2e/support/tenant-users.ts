import { EtcdClient } from '../../../node-image/src/etcd/client.ts';
import { etcdctl, issueCredentials } from './clients.ts';
import type { TestCloud } from './cloud.ts';

/** A client with the name root on one member of a tenant. Close it. */
export async function rootClient(cloud: TestCloud, tenantId: string): Promise<EtcdClient> {
  const [{ endpoints }, { caBundle: ca, certificate: cert, privateKey: key }] = await Promise.all([
    cloud.tenant(tenantId),
    issueCredentials(cloud, tenantId),
  ]);
  return new EtcdClient(endpoints[0]!, { ca, cert, key });
}

/** etcd's own users, made as a tenant makes them: with passwords, roles and rights; then only they are let in. */
export async function makeUsers(cloud: TestCloud, tenantId: string): Promise<void> {
  const ctl = await etcdctl(cloud, tenantId);
  try {
    for (const command of [
      'role add writer',
      'role grant-permission writer --prefix=true readwrite k/',
      'role add reader',
      'role grant-permission reader --prefix=true read k/',
      'user add alice:wonder-1',
      'user grant-role alice writer',
      'user add bob:builder-2',
      'user grant-role bob reader',
      'user add root:admin-3',
      'user grant-role root root',
      'auth enable',
    ]) {
      await ctl.run(...command.split(' '));
    }
  } finally {
    ctl.dispose();
  }
}

/** What they may and may not do, as they find it. Empty when all is as `makeUsers` made it; writes below k/user/. */
export async function wrongWithUsers(cloud: TestCloud, tenantId: string): Promise<string[]> {
  const ctl = await etcdctl(cloud, tenantId);
  const wrong: string[] = [];
  const may = async (what: string, ...args: string[]) => {
    await ctl.run(...args).catch((error) => wrong.push(`${what}: ${error}`));
  };
  const mayNot = async (what: string, why: RegExp, ...args: string[]) => {
    const said = await ctl.run(...args).catch((error) => String(error));
    if (!why.test(said)) wrong.push(`${what}: ${said}`);
  };
  const denied = /permission denied/;
  try {
    await may('alice writes', '--user=alice:wonder-1', 'put', 'k/user', 'alice');
    await may('bob reads', '--user=bob:builder-2', 'get', 'k/user');
    await may('root lists the users with the password', '--user=root:admin-3', 'user', 'list');
    await mayNot('alice reads elsewhere', denied, '--user=alice:wonder-1', 'get', 'other');
    await mayNot('bob writes', denied, '--user=bob:builder-2', 'put', 'k/user', 'bob');
    const refused = /authentication failed|invalid user ID or password/;
    await mayNot('alice with another password', refused, '--user=alice:wrong', 'get', 'k/user');
    const users = await ctl.run('user', 'list');
    if (users !== 'alice\nbob\nroot') wrong.push(`users: ${users}`);
    const [alice] = [await ctl.run('user', 'get', 'alice')];
    if (!/Roles: writer/.test(alice)) wrong.push(`alice: ${alice}`);
  } finally {
    ctl.dispose();
  }
  return wrong;
}
