import { paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3';
import { slotAfter } from '../../../lambdas/core/backup/schedule.ts';
import { type Backup, readDeltaName } from '../../../lambdas/core/model/backup.ts';
import type { Condition } from '../../../lambdas/core/model/condition.ts';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TestCloud } from './cloud.ts';
import { until } from './until.ts';

export interface BackupList {
  readonly backups: readonly Backup[];
  readonly restorable: { readonly from: string; readonly until: string; readonly revision: number } | null;
  readonly rpoSeconds: number | null;
  readonly holder: string | null;
  readonly trouble: string | null;
}

/** What topics about the bucket and what is proven of it have in common. */
export interface Proving {
  list(): Promise<BackupList>;
  condition(type: Condition['type']): Promise<Condition | undefined>;
  /** Waits until the condition is so. @returns it */
  becomes(
    type: Condition['type'],
    status: Condition['status'],
    options?: { deadlineMs?: number; reason?: string },
  ): Promise<Condition>;
  /** A full backup, or a drill, that somebody asks for. @returns its end, also when it failed */
  now(what: 'backups' | 'drill', deadlineMs?: number): Promise<Operation>;
  /** Waits until segments in the bucket reach `more` revisions beyond `than`. @returns the last revision in them */
  shipped(more: number, than: number): Promise<number>;
  /** Keys of everything below the tenant's prefix, as an administrator sees it. */
  keys(): Promise<string[]>;
}

/**
 * A name whose hour of scheduled backups does not come within the next `minutes`: a topic that says which backup is the
 * newest must not meet one that nobody asked for.
 */
export function betweenBackups(base: string, minutes = 15): string {
  const spec = { backup: { intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 } };
  const now = new Date();
  for (let index = 0; ; index++) {
    const tenantId = `${base}-${index}`;
    const next = slotAfter({ tenantId, spec } as Parameters<typeof slotAfter>[0], now);
    if (next.getTime() - now.getTime() > minutes * 60_000) return tenantId;
  }
}

export function proving(cloud: () => TestCloud, tenantId: string): Proving {
  const path = `/v1/tenants/${tenantId}`;
  const list = () => cloud().api.call<BackupList>({ method: 'GET', path: `${path}/backups` });
  const condition: Proving['condition'] = async (type) =>
    (await cloud().tenant(tenantId)).conditions.find((each) => each.type === type);
  const keys = async (): Promise<string[]> => {
    const { url: endpoint, region, credentials, registry } = cloud().cloud;
    const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    const Bucket = registry.resourcesOfType('AWS::S3::Bucket')[0]!.ref;
    const { cell } = await cloud().tenant(tenantId);
    const found: string[] = [];
    for await (const { Contents } of paginateListObjectsV2(
      { client: s3 },
      { Bucket, Prefix: `${cell}/${tenantId}/` },
    ))
      found.push(...(Contents ?? []).map(({ Key }) => Key!));
    s3.destroy();
    return found;
  };
  return {
    list,
    condition,
    becomes: (type, status, { deadlineMs = 180_000, reason } = {}) =>
      until(
        `${type} of ${tenantId} to be ${status}${reason ? ` (${reason})` : ''}`,
        async () => {
          const now = await condition(type);
          const isSo = now?.status === status && (reason === undefined || now.reason === reason);
          if (!isSo) throw new Error(`it is ${now?.status} (${now?.reason}): ${now?.message}`);
          return now;
        },
        { deadlineMs, everyMs: 500 },
      ),
    async now(what, deadlineMs = 120_000) {
      const { operation } = await cloud().api.call<{ operation: Operation }>({
        method: 'POST',
        path: `${path}/${what}`,
      });
      return until(
        `${operation.kind} of ${tenantId} to end`,
        async () => {
          const at = `${path}/operations/${operation.operationId}`;
          const seen = await cloud().api.call<Operation>({ method: 'GET', path: at });
          const open = (await cloud().tenant(tenantId)).operation;
          if (seen.endedAt === undefined) throw new Error(seen.message);
          return open === null && seen;
        },
        { deadlineMs },
      );
    },
    shipped: (more, than) =>
      until(
        `${more} more revisions of ${tenantId} to be in S3`,
        async () => {
          const reached = Math.max(0, ...(await keys()).map((key) => readDeltaName(key, 0)?.last ?? 0));
          if (reached < than + more) throw new Error(`revision ${reached} is, ${than + more} is wanted`);
          return reached;
        },
        { everyMs: 500 },
      ),
    keys,
  };
}
