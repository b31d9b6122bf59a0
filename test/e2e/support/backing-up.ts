import type { z } from 'zod';
import type { backupListSchema } from '../../../lambdas/api/routes/backups.ts';
import type { restoreAnswerSchema } from '../../../lambdas/api/routes/restore.ts';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { RestoreReport } from '../../../lambdas/core/model/restore.ts';
import type { TestCloud } from './cloud.ts';
import { until } from './until.ts';

export type RestoreAnswer = z.infer<typeof restoreAnswerSchema>;
type BackupList = z.infer<typeof backupListSchema>;

/** What topics about backups and restores have in common. */
export interface BackingUp {
  list(): Promise<BackupList>;
  /** A full backup now. */
  full(): Promise<Operation>;
  /** Until everything up to a revision is in the bucket. */
  shipped(revision: number): Promise<void>;
  ask(body: Readonly<Record<string, unknown>>): Promise<RestoreAnswer>;
  /** Asks, waits, prints what it took. */
  restore(body: Readonly<Record<string, unknown>>): Promise<RestoreReport>;
}

export function backingUp(cloud: () => TestCloud, tenantId: string): BackingUp {
  const path = `/v1/tenants/${tenantId}`;
  const post = <T>(where: string, body?: object) =>
    cloud().api.call<T>({ method: 'POST', path: `${path}${where}`, ...(body && { body }) });
  const list = () => cloud().api.call<BackupList>({ method: 'GET', path: `${path}/backups` });
  const ask = (body: object) => post<RestoreAnswer>('/restore', body);
  return {
    list,
    ask,
    async full() {
      const { operation } = await post<{ operation: Operation }>('/backups');
      return cloud().ended(operation);
    },
    async shipped(revision) {
      // What a dry run counts is in the bucket.
      await until(
        `revision ${revision} of ${tenantId} to be in the bucket`,
        async () => (await ask({ to: 'newest', dryRun: true })).estimate.revision >= revision,
        { everyMs: 500 },
      );
    },
    async restore(body) {
      const { operation } = await ask(body);
      const { report, message, tenantId: into } = await cloud().ended(operation!, 240_000);
      console.log(`${into}: ${message}`);
      if (report === undefined) throw new Error(`The ${operation!.kind} of ${into} has no report.`);
      return report;
    },
  };
}
