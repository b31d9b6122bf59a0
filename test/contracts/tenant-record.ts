import type { Backup } from '../../lambdas/core/model/backup.ts';
import type { Operation, TimelineEvent } from '../../lambdas/core/model/operation.ts';
import type { Rollout } from '../../lambdas/core/model/rollout.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';

export const rollout = (recordVersion: number): Rollout => ({
  rolloutId: '01R',
  recordVersion,
  version: '3.6.16',
  state: 'running',
  requestedBy: 'arn:aws:iam::000000000000:user/admin',
  createdAt: '2026-11-22T10:00:00.000Z',
  updatedAt: '2026-11-22T10:00:00.000Z',
  canary: ['acme'],
  bakeMinutes: 60,
  wave: 0,
  reached: '',
  patching: [{ tenantId: 'acme', since: '2026-11-22T10:00:00.000Z' }],
  held: [],
  patchedInWave: 0,
  patched: 0,
  passedOver: 0,
  events: [{ at: '2026-11-22T10:00:00.000Z', message: 'asked for' }],
});

export function tenantRecord(tenantId: string, over: Partial<TenantRecord> = {}): TenantRecord {
  return {
    schemaVersion: 1,
    tenantId,
    cell: 'cell-1',
    owner: 'arn:aws:iam::111122223333:role/admin',
    createdAt: '2026-11-22T10:00:00.000Z',
    recordVersion: 1,
    generation: 1,
    observedGeneration: 0,
    spec: {
      members: 3,
      version: '3.6.16',
      size: 'small',
      storageGiB: 20,
      volume: 'ebs',
      quotaMiB: 2048,
      autoCompaction: { mode: 'off' },
      deletionProtection: false,
      recovery: 'auto',
      quorumLossConfirmSeconds: 60,
      unreachableSeconds: 20,
      zoneOutageHoldMinutes: 30,
      backup: { intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 },
    },
    status: { phase: 'creating', conditions: [] },
    incarnation: { state: 'gathering', number: 1, token: '0123456789abcdef' },
    members: {
      mabcdefgh: {
        state: 'requested',
        name: 'mabcdefgh',
        zone: 'us-east-1a',
        requestedAt: '2026-11-22T10:00:00.000Z',
      },
    },
    fence: 0,
    highestRevision: 0,
    nextCheckAt: '2026-11-22T10:00:00.000Z',
    ...over,
  };
}

export function operation(tenantId: string, operationId: string, over: Partial<Operation> = {}): Operation {
  return {
    operationId,
    tenantId,
    kind: 'create',
    state: 'running',
    requestedBy: 'arn:aws:iam::111122223333:role/admin',
    createdAt: '2026-11-22T10:00:00.000Z',
    updatedAt: '2026-11-22T10:00:01.000Z',
    message: 'launching members',
    steps: [
      {
        name: 'launch-members',
        detail: '3 of 3',
        startedAt: '2026-11-22T10:00:00.000Z',
        outcome: 'running',
      },
    ],
    ...over,
  };
}

export function timelineEvent(tenantId: string, eventId: string): TimelineEvent {
  return {
    eventId,
    tenantId,
    at: '2026-11-22T10:00:00.000Z',
    kind: 'refused',
    message: `event ${eventId}`,
    rule: 'S2',
  };
}

export function backup(tenantId: string, backupId: string, over: Partial<Backup> = {}): Backup {
  return {
    backupId,
    tenantId,
    incarnation: 1,
    key: `cell-1/${tenantId}/1/full/${backupId}.snap`,
    sha256: 'f'.repeat(64),
    bytes: 4096,
    revision: 100,
    etcdVersion: '3.6.16',
    member: 'mabcdefgh',
    reason: 'scheduled',
    startedAt: '2026-11-22T10:00:00.000Z',
    contentAt: '2026-11-22T10:00:01.000Z',
    endedAt: '2026-11-22T10:00:02.000Z',
    ...over,
  };
}
