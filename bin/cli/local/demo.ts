import type { Connection } from '../../../lambdas/core/connection/connection.ts';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { Api } from '../api.ts';
import { cachedClient } from '../client-files.ts';
import { pathOf } from '../context.ts';
import { CliError } from '../errors.ts';
import { etcdctlEnvironment } from '../etcdctl.ts';
import { shortTime } from '../format.ts';
import { waitFor } from '../wait.ts';
import type { World } from '../world.ts';

const tenantId = 'demo';
const key = 'hello';
/** Members that come back after a restart of the cloud boot first; so long the first request may be refused. */
const clientPatienceMs = 60_000;

/** Creates the tenant "demo", or finds it again, and writes and reads a key through etcdctl. */
export async function proveDemo(world: World, api: Api, say: (line: string) => void): Promise<void> {
  const begin = world.now().getTime();
  const path = pathOf(tenantId);
  const { operation } = await api.call<{ tenant: TenantDocument; operation: Operation }>({
    method: 'PUT',
    path,
    body: {},
  });
  const isNew = operation.kind === 'create' && operation.endedAt === undefined;
  say(
    isNew
      ? `Creating tenant "${tenantId}": three members in three zones`
      : `Tenant "${tenantId}" is here from last time`,
  );
  if (isNew) await waitFor(world, api, operation, { onLine: say });
  const [tenant, connection] = await Promise.all([
    api.call<TenantDocument>({ method: 'GET', path }),
    api.call<Connection>({ method: 'GET', path: `${path}/connection` }),
  ]);
  if (isNew) {
    say(
      `Tenant "${tenantId}" is ${tenant.phase} after ${shortTime(world.now().getTime() - begin)} (etcd ${tenant.version})`,
    );
  }
  const files = await cachedClient(world, api, connection, { user: 'root', ttlSeconds: 86_400 });
  const { etcdctl } = await world.etcdBinaries(tenant.version, say);
  const run = (args: readonly string[]) => patiently(world, etcdctl, args, connection, files);
  if (!isNew) {
    const before = await run(['get', key, '--print-value-only']);
    say(before === '' ? `Key "${key}" is not there` : `Read the key "${key}" from last time: ${before}`);
  }
  const value = `written ${world.now().toISOString()}`;
  await run(['put', key, value]);
  say(`Wrote the key "${key}" through etcdctl over mTLS`);
  const read = await run(['get', key, '--print-value-only']);
  if (read !== value) {
    throw new CliError(`etcdctl wrote "${value}" to "${key}" and read back "${read}".`, {
      code: 'demo-failed',
    });
  }
  say(`Read it back: ${read}`);
}

async function patiently(
  world: World,
  etcdctl: string,
  args: readonly string[],
  connection: Connection,
  files: Parameters<typeof etcdctlEnvironment>[2],
): Promise<string> {
  const env = etcdctlEnvironment(world.env, connection, files, args);
  const deadline = world.now().getTime() + clientPatienceMs;
  for (;;) {
    const { code, stdout, stderr } = await world.capture(etcdctl, args, env);
    if (code === 0) return stdout.trim();
    if (world.now().getTime() > deadline) {
      throw new CliError(`etcdctl ${args.join(' ')} fails: ${stderr.trim().split('\n').at(-1)}`, {
        code: 'demo-failed',
      });
    }
    await world.sleep(500);
  }
}
