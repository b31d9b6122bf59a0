import type { Command } from 'commander';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantSpec } from '../../../lambdas/core/model/spec.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import { type CommonOptions, examples, pathOf } from '../context.ts';
import { UsageError } from '../errors.ts';
import { plural, shortTime } from '../format.ts';
import { autoCompaction, duration, gibibytes, mebibytes, sizeRange, wholeNumber, window } from '../values.ts';
import { defaultWaitSeconds } from '../wait.ts';
import type { Define } from './index.ts';
import { type Changed, follow, type WaitOptions } from './waiting.ts';

interface CreateOptions extends WaitOptions {
  readonly members?: number;
  readonly version?: string;
  readonly size?: TenantSpec['size'];
  readonly storage?: number;
  readonly volume?: TenantSpec['volume'];
  readonly quota?: number;
  readonly autoCompaction?: TenantSpec['autoCompaction'];
  readonly deletionProtection?: boolean;
  readonly backupInterval?: number;
  readonly pointInTime?: number;
  readonly drillInterval?: number;
}

const backupOptions = (command: Command): Command =>
  command
    .option('--backup-interval <time>', 'a full backup this often, such as 1h', duration)
    .option('--point-in-time <time>', 'every second of this long can be restored, such as 24h', duration)
    .option('--drill-interval <time>', 'a backup is restored to prove it this often', duration);

const specOf = (options: CreateOptions) => ({
  ...(options.members === undefined ? {} : { members: options.members as TenantSpec['members'] }),
  ...(options.version === undefined ? {} : { version: options.version }),
  ...(options.size === undefined ? {} : { size: options.size }),
  ...(options.storage === undefined ? {} : { storageGiB: options.storage }),
  ...(options.volume === undefined ? {} : { volume: options.volume }),
  ...(options.quota === undefined ? {} : { quotaMiB: options.quota }),
  ...(options.autoCompaction === undefined ? {} : { autoCompaction: options.autoCompaction }),
  ...(options.deletionProtection === undefined ? {} : { deletionProtection: options.deletionProtection }),
  backup: backupOf(options),
});

export function defineChanges(define: Define): void {
  define<CreateOptions>(
    'create <tenant>',
    (command) =>
      backupOptions(command)
        .description('create a tenant: a dedicated etcd cluster over three zones')
        .option('--members <n>', 'voting members: 1, 3 or 5 (default 3)', wholeNumber)
        .option('--version <version>', 'etcd version, or a minor such as 3.6 (default: see nanny versions)')
        .option('--size <size>', 'micro, small, medium, large or xlarge (default small)')
        .option('--storage <GiB>', 'disk of each member (default 10, or 21 for ephemeral)', gibibytes)
        .option('--volume <kind>', 'ebs or ephemeral (default ebs)')
        .option('--quota <size>', "etcd's database quota, such as 2048MiB or 2GiB (default 2GiB)", mebibytes)
        .option(
          '--auto-compaction <what>',
          'off, a time such as 60m, or revisions (default 60m)',
          autoCompaction,
        )
        .option('--deletion-protection', 'refuse to delete the tenant until this is lifted')
        .option('--wait', 'wait until the cluster is available; show each step')
        .option('--timeout <time>', 'how long to wait', duration, defaultWaitSeconds)
        .addHelpText(
          'after',
          examples(
            'create acme --members 3 --wait',
            'create k8s --version 3.6 --size medium --storage 20 --quota 8GiB --auto-compaction off',
          ),
        ),
    async (context, options, tenantId) => {
      const api = await context.api();
      const begin = context.world.now().getTime();
      const path = pathOf(tenantId);
      let changed = await api.call<Changed>({ method: 'PUT', path, body: { spec: specOf(options) } });
      if (options.wait) {
        context.progress(`Creating "${tenantId}"`);
        const operation = await follow(context, api, changed.operation, options);
        changed = { tenant: await api.call<TenantDocument>({ method: 'GET', path }), operation };
      }
      const took = shortTime(context.world.now().getTime() - begin);
      context.print(changed, () =>
        options.wait
          ? [
              `Tenant "${tenantId}" is ${changed.tenant.phase} after ${took}: ${plural(changed.tenant.members.length, 'member')}, etcd ${changed.tenant.version}`,
              ...changed.tenant.endpoints.map((endpoint) => `  ${endpoint}`),
              `Try it: nanny etcdctl ${tenantId} -- put hello world`,
            ]
          : [`Tenant "${tenantId}" is ${changed.tenant.phase}. Follow it: nanny create ${tenantId} --wait`],
      );
    },
  );

  define<WaitOptions & { yes?: boolean; finalBackup: boolean }>(
    'delete <tenant>',
    (command) =>
      command
        .description('delete a tenant with its cluster and its data')
        .option('--yes', 'really do it')
        .option('--no-final-backup', 'without a last backup, also when the deletion waits for one already')
        .option('--wait', 'wait until it is gone; show each step')
        .option('--timeout <time>', 'how long to wait', duration, defaultWaitSeconds)
        .addHelpText('after', examples('delete acme --yes --wait', 'delete acme --yes --no-final-backup')),
    async (context, options, tenantId) => {
      if (!options.yes) {
        throw new UsageError(
          `This deletes "${tenantId}" with all its data. If you mean it: nanny delete ${tenantId} --yes`,
        );
      }
      const api = await context.api();
      let { operation } = await api.call<{ operation: Operation }>({
        method: 'DELETE',
        path: pathOf(tenantId),
        ...(options.finalBackup ? {} : { query: { finalBackup: 'false' } }),
      });
      if (options.wait) {
        context.progress(`Deleting "${tenantId}"`);
        operation = await follow(context, api, operation, options);
      }
      context.print({ operation }, () => [
        options.wait ? `Tenant "${tenantId}" is gone.` : `Tenant "${tenantId}" is being deleted.`,
      ]);
    },
  );

  define<UpdateOptions>(
    'update <tenant>',
    (command) =>
      backupOptions(command)
        .description('change how a tenant is protected, repaired and maintained; takes effect at once')
        .option('--deletion-protection', 'refuse to delete the tenant until this is lifted')
        .option('--no-deletion-protection', 'allow deletion again')
        .option('--recovery <policy>', 'when quorum is lost for good: auto, or approve by a person')
        .option('--unreachable <time>', 'replace a member that two sources miss for this long', duration)
        .option('--quorum-loss-confirm <time>', 'no quorum for this long before a recovery starts', duration)
        .option('--zone-outage-hold <time>', 'how long a zone may be out before members double up', duration)
        .option(
          '--autoscale <sizes>',
          'size follows the load between two, such as small..large; off',
          sizeRange,
        )
        .option(
          '--window <when>',
          'maintenance, UTC, such as "sat,sun 03:30 120m"; none takes it away',
          window,
        )
        .addHelpText(
          'after',
          examples(
            'update acme --deletion-protection',
            'update acme --recovery approve --unreachable 30s',
            'update acme --window "sat,sun 03:30 2h"',
            'update acme --autoscale small..large',
          ),
        ),
    async (context, options, tenantId) => {
      const spec = policyOf(options);
      if (Object.values(spec).every((value) => value === undefined)) {
        throw new UsageError(
          'Say what to change: --deletion-protection or --no-deletion-protection, --recovery, --unreachable, ' +
            '--quorum-loss-confirm, --zone-outage-hold, --backup-interval, --point-in-time, --drill-interval, --window or --autoscale.',
        );
      }
      const api = await context.api();
      const changed = await api.call<Changed>({ method: 'PATCH', path: pathOf(tenantId), body: { spec } });
      const { deletionProtection } = options;
      context.print(changed, () => [
        deletionProtection === undefined
          ? `Tenant "${tenantId}": ${changed.operation.message || 'nothing to change'}.`
          : `Tenant "${tenantId}" ${deletionProtection ? 'cannot' : 'can'} be deleted now.`,
      ]);
    },
  );
}

interface UpdateOptions extends CommonOptions {
  readonly deletionProtection?: boolean;
  readonly recovery?: string;
  readonly unreachable?: number;
  readonly quorumLossConfirm?: number;
  readonly zoneOutageHold?: number;
  readonly window?: ReturnType<typeof window>;
  readonly autoscale?: ReturnType<typeof sizeRange>;
  readonly backupInterval?: number;
  readonly pointInTime?: number;
  readonly drillInterval?: number;
}

const policyOf = (options: UpdateOptions) => ({
  deletionProtection: options.deletionProtection,
  recovery: options.recovery,
  unreachableSeconds: options.unreachable,
  quorumLossConfirmSeconds: options.quorumLossConfirm,
  zoneOutageHoldMinutes:
    options.zoneOutageHold === undefined ? undefined : Math.round(options.zoneOutageHold / 60),
  maintenanceWindow: options.window === 'none' ? null : options.window,
  autoscale: options.autoscale === 'off' ? null : options.autoscale,
  backup: backupOf(options),
});

function backupOf({
  backupInterval,
  pointInTime,
  drillInterval,
}: Pick<UpdateOptions, 'backupInterval' | 'pointInTime' | 'drillInterval'>) {
  const [minute, hour] = [60, 3_600];
  const whole = (seconds: number, unit: number): number => Math.round(seconds / unit);
  const fields = {
    ...(backupInterval !== undefined && { intervalMinutes: whole(backupInterval, minute) }),
    ...(pointInTime !== undefined && { pointInTimeHours: whole(pointInTime, hour) }),
    ...(drillInterval !== undefined && { drillHours: whole(drillInterval, hour) }),
  };
  return Object.keys(fields).length > 0 ? fields : undefined;
}
