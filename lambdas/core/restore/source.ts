import type { RestoreSource } from '../model/restore.ts';
import type { TenantRecord } from '../model/tenant.ts';

/** Added to every revision of a restored cluster, so that watchers notice (etcd's recovery guide; HyperShift too). */
const bump = 1_000_000_000;
/**
 * How many of the cluster's revisions a state does not have. Incarnations are apart by multiples of the bump; a state that
 * is further than the cluster has ever been on its present way says nothing: 0.
 */
export function revisionsBeyond(revision: number, known: number): number {
  const beyond = Math.max(0, known - revision) % bump;
  return beyond > bump / 2 ? 0 : beyond;
}

/** The record's highest revision lags behind by far less. */
const margin = 100_000_000;

/**
 * So that the new incarnation's revisions lie beyond every one that the tenant ever had: going back to an early state for
 * the second time must not meet what the first time has written.
 */
export const bumpFor = (
  { highestRevision }: Pick<TenantRecord, 'highestRevision'>,
  revision: number,
): number => bump * Math.max(1, Math.ceil((highestRevision + margin - revision) / bump));

/** Of a source that is the present cluster's own. */
export const ownState = ({ tenantId, incarnation }: TenantRecord) => ({
  tenantId,
  incarnation: incarnation.number,
});

const recoveryOf = ({ remediation, incarnation }: TenantRecord) =>
  remediation?.kind === 'recover' && remediation.recovery?.incarnation === incarnation.number
    ? remediation.recovery
    : undefined;

/** A restore in place whose source is saved, and whose operation has begun to stop the old cluster. */
const restoreOf = ({ operation, restore, incarnation, status }: TenantRecord) =>
  operation?.kind === 'restore' &&
  restore?.operationId === operation.operationId &&
  restore.incarnation === incarnation.number &&
  status.phase === 'recovering'
    ? restore
    : undefined;

export const hibernationOf = ({ operation, hibernation, incarnation }: TenantRecord) =>
  operation?.kind === 'hibernate' &&
  hibernation?.operationId === operation.operationId &&
  hibernation.incarnation === incarnation.number
    ? hibernation
    : undefined;

export interface Fencing {
  readonly by: 'recover' | 'restore' | 'hibernate' | 'wake';
  readonly source: RestoreSource;
}

/**
 * What the present cluster is given up for: it was decided, and the source is safe in S3 (S5). Only then may all of its
 * tasks be stopped, and only from this source may the next incarnation begin.
 */
export function fencingOf(tenant: TenantRecord): Fencing | undefined {
  const { operation, status } = tenant;
  // A restore goes before a recovery: whoever ordered it has said what the cluster is to be.
  const restored = restoreOf(tenant)?.prepared?.source;
  if (restored !== undefined) return { by: 'restore', source: restored };
  const slept = hibernationOf(tenant)?.source;
  if (slept !== undefined) return { by: 'hibernate', source: slept };
  if (operation?.kind === 'wake' && status.phase === 'hibernated')
    return { by: 'wake', source: status.source };
  const recovered = recoveryOf(tenant)?.source;
  return recovered && { by: 'recover', source: recovered };
}
