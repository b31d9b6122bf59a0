import { type Backup, incarnationOfKey } from '../model/backup.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { TenantStore } from '../ports.ts';
import { ulidOf } from '../ulid.ts';

export interface BeginningDeps {
  readonly store: Pick<TenantStore, 'putBackup'>;
}

/**
 * A restored incarnation's first full backup is there before it serves: what it began from. Without it, a loss of
 * everything in its first seconds would bring back what the restore has taken back: the newest state of the incarnation
 * before. Done again it is the same one: its id is made of the incarnation's own random token.
 */
export async function noteBeginning(deps: BeginningDeps, tenant: TenantRecord, now: Date): Promise<void> {
  const { incarnation, tenantId } = tenant;
  if (incarnation.state !== 'booting' || incarnation.restore === undefined) return;
  const { key, sha256, bytes, revision, bumpRevision, madeOf } = incarnation.restore;
  const [member] = Object.keys(incarnation.initialCluster);
  await deps.store.putBackup({
    backupId: ulidOf(Date.parse(incarnation.bootedAt), incarnation.token),
    tenantId,
    incarnation: incarnation.number,
    key,
    sha256,
    bytes,
    revision: revision + bumpRevision,
    bumpRevision,
    madeOf: {
      ...(madeOf ?? { tenantId, incarnation: incarnationOfKey(key) ?? incarnation.number - 1 }),
      revision,
    },
    etcdVersion: tenant.spec.version,
    member: member!,
    reason: 'beginning',
    startedAt: incarnation.bootedAt,
    // Nobody can have written before.
    contentAt: incarnation.bootedAt,
    endedAt: now.toISOString(),
  });
}

/** Also when its object is damaged: it still tells what the incarnation was made of. */
export const beginningOf = (backups: readonly Backup[], incarnation: number): Backup | undefined =>
  backups.find((backup) => backup.incarnation === incarnation && backup.madeOf !== undefined);
