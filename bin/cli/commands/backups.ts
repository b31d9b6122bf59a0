import type { Backup } from '../../../lambdas/core/model/backup.ts';
import { examples, pathOf } from '../context.ts';
import { clockTime, plural, relativeTime, table } from '../format.ts';
import type { Define } from './index.ts';
import { submit, type WaitOptions, withWaiting } from './waiting.ts';

interface BackupList {
  backups: Backup[];
  restorable: { from: string; until: string; revision: number } | null;
  rpoSeconds: number | null;
  rpoAt: string | null;
  holder: string | null;
  trouble: string | null;
  nextFullAt: string | null;
}

export function defineBackups(define: Define): void {
  define<WaitOptions>(
    'backup <tenant>',
    (command) =>
      withWaiting(command, 'it is in S3')
        .description('take a full backup now')
        .addHelpText('after', examples('backup acme --wait', 'backups acme')),
    async (context, options, tenantId) =>
      submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/backups') },
        { doing: 'Backing up', done: () => `Tenant "${tenantId}" is backed up` },
      ),
  );

  define<WaitOptions>(
    'drill <tenant>',
    (command) =>
      withWaiting(command, 'it is proven')
        .description('restore the newest backup beside the cluster and compare it, now')
        .addHelpText('after', examples('drill acme --wait', 'backups acme')),
    async (context, options, tenantId) =>
      submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/drill') },
        { doing: 'Proving the newest backup of', done: () => `The newest backup of "${tenantId}" is proven` },
      ),
  );

  define(
    'backups <tenant>',
    (command) =>
      command
        .description('what is backed up, what can be restored, and what has been proven')
        .addHelpText('after', examples('backups acme', 'backups acme --json')),
    async (context, _options, tenantId) => {
      const api = await context.api();
      const list = await api.call<BackupList>({ method: 'GET', path: pathOf(tenantId, '/backups') });
      context.print(list, () => backupLines(tenantId, list, context.world.now()));
    },
  );
}

function backupLines(tenantId: string, list: BackupList, now: Date): string[] {
  const { backups, restorable, rpoSeconds, rpoAt, trouble, nextFullAt, holder } = list;
  const lines =
    backups.length === 0
      ? [`"${tenantId}" has no backup yet.`]
      : [
          ...table(
            ['ID', 'TAKEN', 'REVISION', 'SIZE', 'KIND', 'PROOF'],
            backups.map((backup) => [
              backup.backupId,
              clockTime(backup.contentAt, now),
              String(backup.revision),
              `${(backup.bytes / 2 ** 20).toFixed(1)} MiB`,
              backup.reason,
              proofOf(backup, now),
            ]),
          ),
          '',
        ];
  if (restorable !== null) {
    const { from, until, revision } = restorable;
    lines.push(
      `Restorable  every second from ${clockTime(from, now)} to ${clockTime(until, now)} (revision ${revision})`,
    );
  }
  if (rpoSeconds !== null && rpoAt !== null) {
    const seen = `${clockTime(rpoAt, now)}, when it was looked at last`;
    lines.push(
      `Loss        at most ${plural(rpoSeconds, 'second')} of writes, had every member been lost at ${seen}`,
    );
  }
  if (holder === null && backups.length > 0)
    lines.push('Loss        nobody ships changes now: what came after the last backup');
  if (nextFullAt !== null) lines.push(`Next        full backup ${relativeTime(nextFullAt, now)}`);
  if (trouble !== null) lines.push(`Trouble     ${trouble}`);
  return lines;
}

function proofOf({ damaged, damagedSegments = [], proof }: Backup, now: Date): string {
  if (damaged !== undefined) return `DAMAGED: ${damaged.problem}`;
  const broken =
    damagedSegments.length > 0 ? [`${plural(damagedSegments.length, 'segment')} behind it DAMAGED`] : [];
  const restored =
    proof === undefined
      ? []
      : [
          `${plural(proof.keys, 'key')} restored ${relativeTime(proof.at, now)} in ${proof.seconds.toFixed(1)} s`,
        ];
  return [...restored, ...broken].join('; ') || '-';
}
