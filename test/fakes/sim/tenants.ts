import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../../lambdas/core/model/tenant.ts';
import type { Ids } from '../../../lambdas/core/ports.ts';

export const defaultSpec: TenantRecord['spec'] = {
  members: 3,
  version: '3.6.16',
  size: 'small',
  storageGiB: 21,
  volume: 'ephemeral',
  quotaMiB: 2048,
  autoCompaction: { mode: 'periodic', retentionMinutes: 60 },
  deletionProtection: false,
  recovery: 'auto',
  quorumLossConfirmSeconds: 60,
  unreachableSeconds: 20,
  zoneOutageHoldMinutes: 30,
  backup: { intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 },
};

/** A tenant as the API leaves it: wanted, nothing done yet. */
export function newTenant(
  tenantId: string,
  now: Date,
  ids: Pick<Ids, 'ulid' | 'clusterToken'>,
  spec: Partial<TenantRecord['spec']> = {},
): { record: TenantRecord; operation: Operation } {
  const at = now.toISOString();
  const operationId = ids.ulid();
  const owner = 'arn:aws:iam::000000000000:user/admin';
  return {
    record: {
      schemaVersion: 1,
      tenantId,
      cell: 'cell-1',
      owner,
      createdAt: at,
      recordVersion: 1,
      generation: 1,
      observedGeneration: 0,
      spec: { ...defaultSpec, ...spec },
      status: { phase: 'creating', conditions: [] },
      incarnation: { state: 'gathering', number: 1, token: ids.clusterToken() },
      members: {},
      operation: { operationId, kind: 'create' },
      fence: 0,
      highestRevision: 0,
      nextCheckAt: new Date(now.getTime() + 60_000).toISOString(),
    },
    operation: {
      operationId,
      tenantId,
      kind: 'create',
      state: 'pending',
      requestedBy: owner,
      createdAt: at,
      updatedAt: at,
      message: 'Waiting to be taken up',
      steps: [],
    },
  };
}
