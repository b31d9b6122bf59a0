import type * as z from 'zod';
import { ControlPlaneError } from '../core/errors.ts';
import { prefixOfKey, tenantPrefix } from '../core/model/backup.ts';
import type { StorageAnswer, storageRequestSchema, WorkOrder } from '../core/wire/work.ts';
import { admit, NotThisTaskError } from './admit.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';

/**
 * "Credentials for our prefix of the bucket, please." For a task that has joined: a member, or a worker, which may read
 * what it makes its scratch etcd of even when that is another tenant's (a clone).
 *
 * @throws NotThisTaskError, ControlPlaneError `not-joined`
 */
export async function storage(
  deps: JoinDeps,
  request: z.infer<typeof storageRequestSchema>,
  caller: JoinCaller,
): Promise<StorageAnswer> {
  const { tenantId, memberName: borrower } = request;
  const admission = await admit(deps, request, caller);
  if (admission.kind === 'leave') {
    throw new NotThisTaskError(`No access to backups for ${borrower}: ${admission.reason}.`);
  }
  const worker = admission.kind === 'worker' ? admission.work : undefined;
  if (admission.kind !== 'member' && worker?.ip === undefined) {
    throw new ControlPlaneError('not-joined', `${borrower} has to join before it reaches backups.`);
  }
  const sources = worker === undefined ? [] : sourcesOf(worker.order);
  const own = tenantPrefix(deps.cell.id, tenantId);
  const alsoReads = [...new Set(sources)].filter((prefix) => !prefix.startsWith(own));
  return deps.storage.lend({ cell: deps.cell, tenantId, borrower, alsoReads });
}

/** Incarnations whose objects the order names. */
function sourcesOf({ source, deltas }: WorkOrder): string[] {
  const keys = [...(source.kind === 'full' ? [source.key] : []), ...(deltas ? [deltas.prefix] : [])];
  return keys.map((key) => {
    const prefix = prefixOfKey(key);
    if (prefix !== undefined) return prefix;
    throw new Error(`The work order names ${key}, which is no key of a backup.`);
  });
}
