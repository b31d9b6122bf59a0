import type * as z from 'zod';
import {
  addLearnerSchema,
  type BackupOrder,
  backupOrderSchema,
  compactSchema,
  downgradeSchema,
  emptySchema,
  hashKvSchema,
  leadershipSchema,
  memberIdSchema,
  type NannyStatus,
  type RenewOrder,
  renewOrderSchema,
  type SnapshotProgress,
  type SnapshotRequest,
  type SwapRequest,
  snapshotSchema,
  swapSchema,
} from '../../../lambdas/core/wire/admin.ts';
import type { EtcdClient } from '../etcd/client.ts';
import { notProbed } from '../observer.ts';
import type { Caller } from './caller.ts';
import { AdminError, invalid, invalidFields } from './errors.ts';
import type { Fence } from './fence.ts';
import { addLearner, compact, defragment, disarm, downgrade, hashKv, promote } from './operations.ts';

export interface AdminRequest {
  readonly method: string;
  readonly url: URL;
  readonly caller: Caller;
  readonly fenceHeader: string | undefined;
  readonly body: string;
}

export interface AdminDeps {
  readonly status: () => Promise<NannyStatus>;
  /** Called after each change: whoever asks next must see it. */
  readonly changed: () => void;
  readonly etcd: () => EtcdClient;
  readonly snapshot: (request: SnapshotRequest) => SnapshotProgress;
  readonly backup: (order: BackupOrder) => Promise<void>;
  readonly swap: (request: SwapRequest) => Promise<void>;
  readonly renew: (order: RenewOrder) => Promise<void>;
  readonly fence: Fence;
}

/** etcd answers a linearizable list within 7 s, or says that it cannot. */
const listTimeoutMs = 8_000;

interface Change {
  readonly schema: z.ZodType;
  readonly run: (deps: AdminDeps, body: never) => Promise<object>;
  /** Asks something without changing anything: needs no fence, and waits for nobody. */
  readonly unfenced?: boolean;
}

function change<T>(schema: z.ZodType<T>, run: (etcd: EtcdClient, body: T) => Promise<object>): Change {
  return { schema, run: (deps, body: never) => run(deps.etcd(), body as T) };
}

function order<T>(schema: z.ZodType<T>, run: (deps: AdminDeps, body: T) => Promise<object>): Change {
  return { schema, run };
}

const changes: Readonly<Record<string, Change>> = {
  '/v1/members/add-learner': change(addLearnerSchema, (etcd, { peerUrl }) => addLearner(etcd, peerUrl)),
  '/v1/members/promote': change(memberIdSchema, (etcd, { etcdId }) => promote(etcd, etcdId)),
  '/v1/members/remove': change(memberIdSchema, async (etcd, { etcdId }) => {
    await etcd.call('memberRemove', { id: etcdId });
    return {};
  }),
  '/v1/leadership': change(leadershipSchema, async (etcd, { toEtcdId }) => {
    await etcd.call('moveLeader', { targetId: toEtcdId });
    return {};
  }),
  '/v1/compact': change(compactSchema, (etcd, { revision }) => compact(etcd, revision)),
  '/v1/defragment': change(emptySchema, (etcd) => defragment(etcd)),
  '/v1/alarms/disarm': change(emptySchema, (etcd) => disarm(etcd)),
  '/v1/hashkv': { ...change(hashKvSchema, (etcd, { revision }) => hashKv(etcd, revision)), unfenced: true },
  '/v1/downgrade': change(downgradeSchema, (etcd, { action, version }) => downgrade(etcd, action, version)),
  '/v1/snapshot': order(snapshotSchema, async (deps, request) => deps.snapshot(request)),
  '/v1/backup': order(backupOrderSchema, async (deps, wanted) => {
    await deps.backup(wanted);
    return {};
  }),
  '/v1/swap': order(swapSchema, async (deps, request) => {
    await deps.swap(request);
    return {};
  }),
  '/v1/renew': order(renewOrderSchema, async (deps, wanted) => {
    await deps.renew(wanted);
    return {};
  }),
};

const reads: Readonly<Record<string, (deps: AdminDeps, url: URL) => Promise<object>>> = {
  '/v1/status': (deps) => deps.status(),
  '/v1/members': async (deps, url) => {
    const linearizable = url.searchParams.get('linearizable') !== 'false';
    const list = await deps.etcd().members(linearizable, listTimeoutMs);
    const members = list.members.map((member) => ({ ...notProbed(member), problem: 'not probed' }));
    return { clusterId: list.clusterId, members };
  },
};

/** @throws AdminError, EtcdError */
export async function answer(deps: AdminDeps, request: AdminRequest): Promise<object> {
  const { method, url, caller } = request;
  const path = url.pathname;
  const read = reads[path];
  const changing = changes[path];
  if (!read && !changing) throw new AdminError(404, 'not-found', `There is no route ${path}.`);
  const allowed = read ? 'GET' : 'POST';
  if (method !== allowed) {
    throw new AdminError(405, 'method-not-allowed', `${path} takes ${allowed}, not ${method}.`);
  }
  if (read) return await read(deps, url);
  if (caller !== 'control-plane') {
    throw new AdminError(403, 'forbidden', 'Only the control plane may change a cluster; nannies may look.');
  }
  const { schema, run, unfenced } = changing!;
  const parsed = schema.safeParse(parseJson(request.body));
  if (!parsed.success) throw invalidFields(parsed.error);
  if (unfenced) return await run(deps, parsed.data as never);
  return await deps.fence.guard(request.fenceHeader, async () => {
    const result = await run(deps, parsed.data as never);
    deps.changed();
    return result;
  });
}

function parseJson(body: string): unknown {
  if (body === '') return {};
  try {
    return JSON.parse(body);
  } catch {
    throw invalid('The body is not JSON.');
  }
}
