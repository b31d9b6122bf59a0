import { createApp } from '../../../lambdas/api/app.ts';
import type { ApiDeps } from '../../../lambdas/api/deps.ts';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { Cell } from '../../../lambdas/core/ports.ts';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { FakeDispatcher } from '../../fakes/fake-dispatcher.ts';
import { FakeKeyVault } from '../../fakes/fake-key-vault.ts';
import { InMemoryTenantStore } from '../../fakes/in-memory-tenant-store.ts';
import { SimBucket } from '../../fakes/sim/sim-bucket.ts';

export const cell: Cell = {
  id: 'cell-1',
  clusterArn: 'arn:aws:ecs:us-east-1:111122223333:cluster/cell-1',
  taskDefinitions: { ebs: 'arn:ebs', ephemeral: 'arn:ephemeral' },
  containerName: 'nanny',
  subnets: ['a', 'b', 'c'].map((zone) => ({ zone: `us-east-1${zone}`, subnetId: `subnet-${zone}` })),
  securityGroupId: 'sg-1',
  infrastructureRoleArn: 'arn:aws:iam::111122223333:role/infra',
  namespaceId: 'ns-1',
  namespaceName: 'etcd-nanny.internal',
  queues: {
    create: 'http://q/create',
    delete: 'http://q/delete',
    sweep: 'http://q/sweep',
    scale: 'http://q/scale',
    patch: 'http://q/patch',
    remediate: 'http://q/remediate',
    backup: 'http://q/backup',
    restore: 'http://q/restore',
    alarms: 'http://q/alarms',
  },
  backupBucket: 'backups',
  backupRoleArn: 'arn:aws:iam::111122223333:role/backup-access',
};

export const callerArn = 'arn:aws:iam::111122223333:user/paula';
/** What the HTTP API hands over with a signed request. */
export const signed = (arn = callerArn) => ({
  event: { requestContext: { requestId: 'req-1', authorizer: { iam: { userArn: arn } } } },
});

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents are asserted field by field
  readonly body: any;
}

/** The API over in-memory fakes, with a clock that tests move. */
export function createWorld(options: Partial<ApiDeps> = {}) {
  let now = new Date('2026-11-22T12:00:00.000Z');
  let ulids = 0;
  const clock = { now: () => now };
  const store = new InMemoryTenantStore(clock);
  const dispatcher = new FakeDispatcher();
  const keyVault = new FakeKeyVault();
  const pki = createPki({ clock });
  const logged: { level: string; message: string }[] = [];
  const log = (level: string) => (message: string) => void logged.push({ level, message });
  const bucket = new SimBucket();
  const deps: ApiDeps = {
    store,
    keyVault,
    pki,
    clock,
    ids: { ulid: () => `01J${String(++ulids).padStart(23, '0')}`, clusterToken: () => 'ab'.repeat(16) },
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    cells: [cell],
    dispatcherOf: () => dispatcher,
    objectsOf: () => bucket,
    versions: { default: '3.6.16', offered: ['3.5.35', '3.6.15', '3.6.16'] },
    maxTenants: 10,
    maxTenantsPerCell: 10,
    authority: { kind: 'iam' },
    ...options,
  };
  const app = createApp(deps);

  async function send(
    method: string,
    path: string,
    body?: unknown,
    init: { headers?: Record<string, string>; env?: unknown } = {},
  ): Promise<Answered> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const response = await app.request(
      path,
      {
        method,
        ...(text === undefined ? {} : { body: text }),
        headers: {
          ...(text === undefined ? {} : { 'content-type': 'application/json' }),
          ...init.headers,
        },
      },
      (init.env ?? signed()) as object,
    );
    const answer = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text: answer,
      body: isJson ? JSON.parse(answer) : undefined,
    };
  }

  /** What some function has written meanwhile. */
  async function write(tenantId: string, change: (tenant: TenantRecord) => TenantRecord): Promise<void> {
    const tenant = (await store.get(tenantId))!;
    const { recordVersion } = tenant;
    await store.save({ ...change(tenant), recordVersion: recordVersion + 1 }, recordVersion);
  }

  /** Does what the create function would have done: a formed cluster of three healthy members. */
  async function finishCreation(tenantId: string): Promise<TenantRecord> {
    const tenant = (await store.get(tenantId))!;
    const ca = await pki.createAuthority(tenantId);
    const at = now.toISOString();
    const names = ['maaaaaaaa', 'mbbbbbbbb', 'mcccccccc'].slice(0, tenant.spec.members);
    const members = names.map((name, index) => ({
      state: 'voting' as const,
      name,
      zone: cell.subnets[index]!.zone,
      requestedAt: at,
      taskArn: `arn:aws:ecs:us-east-1:111122223333:task/cell-1/${name}`,
      launchedAt: at,
      ip: `10.0.${index}.7`,
      joinedAt: at,
      etcdId: `${index + 1}f`,
      seen: { at, healthy: true, isLeader: index === 1, version: tenant.spec.version },
    }));
    const next: TenantRecord = {
      ...tenant,
      recordVersion: tenant.recordVersion + 1,
      observedGeneration: tenant.generation,
      status: { phase: 'available', since: at, conditions: [] },
      incarnation: {
        state: 'formed',
        number: 1,
        token: tenant.incarnation.token,
        clusterId: 'c1c1',
        initialCluster: Object.fromEntries(members.map((m) => [m.name, `https://${m.ip}:2380`])),
        formedAt: at,
      },
      members: Object.fromEntries(members.map((member) => [member.name, member])),
      pki: {
        caBundle: ca.certificate,
        caKey: await keyVault.encrypt(tenantId, 'ca', ca.key),
        controlPlaneCertificate: 'x',
        controlPlaneKey: 'x',
      },
    };
    const { operation: current, ...done } = next;
    await store.save(done, tenant.recordVersion);
    const operation = (await store.getOperation(tenantId, current!.operationId))!;
    const finished: Operation = {
      ...operation,
      state: 'succeeded',
      message: 'Cluster is available',
      updatedAt: at,
      endedAt: at,
      steps: [{ name: 'launch-members', detail: '3 members', startedAt: at, endedAt: at, outcome: 'done' }],
    };
    await store.putOperation(finished);
    return done;
  }

  return {
    app,
    deps,
    bucket,
    store,
    dispatcher,
    keyVault,
    logged,
    send,
    finishCreation,
    write,
    advance: (ms: number) => {
      now = new Date(now.getTime() + ms);
    },
  };
}

export type World = ReturnType<typeof createWorld>;
