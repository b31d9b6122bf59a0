import type { TenantSpec } from '../../../lambdas/core/model/spec.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { Api } from '../api.ts';
import { type CommonOptions, examples, pathOf } from '../context.ts';
import { CliError, UsageError } from '../errors.ts';
import { plural } from '../format.ts';
import { autoCompaction, gibibytes, mebibytes, wholeNumber } from '../values.ts';
import type { Define } from './index.ts';
import { submit, type WaitOptions, withWaiting } from './waiting.ts';

interface ResizeOptions extends WaitOptions {
  readonly size?: TenantSpec['size'];
  readonly storage?: number;
  readonly volume?: TenantSpec['volume'];
  readonly quota?: number;
  readonly autoCompaction?: TenantSpec['autoCompaction'];
}

const specRequest = (tenantId: string, spec: Readonly<Record<string, unknown>>) =>
  ({ method: 'PATCH', path: pathOf(tenantId), body: { spec } }) as const;

/** Operations on a running cluster. */
export function defineOperations(define: Define): void {
  define<WaitOptions & { members?: number }>(
    'scale <tenant>',
    (command) =>
      withWaiting(command, 'all members serve')
        .description('change the number of members: 1, 3 or 5, one member at a time')
        .option('--members <n>', 'voting members', wholeNumber)
        .addHelpText('after', examples('scale acme --members 5 --wait', 'scale acme --members 3')),
    async (context, options, tenantId) => {
      const { members } = options;
      if (members === undefined)
        throw new UsageError(`Say how many: nanny scale ${tenantId} --members 1, 3 or 5.`);
      await submit(context, options, tenantId, specRequest(tenantId, { members }), {
        doing: 'Scaling',
        done: (tenant) => `Tenant "${tenantId}" has ${plural(tenant.members.length, 'member')}`,
      });
    },
  );

  define<ResizeOptions>(
    'resize <tenant>',
    (command) =>
      withWaiting(command, 'all members are replaced')
        .description(
          'change size, disk, quota or compaction: members are replaced one by one, each before it leaves',
        )
        .option('--size <size>', 'micro, small, medium, large or xlarge')
        .option('--storage <GiB>', 'disk of each member', gibibytes)
        .option('--volume <kind>', 'ebs or ephemeral')
        .option('--quota <size>', "etcd's database quota, such as 2048MiB or 2GiB", mebibytes)
        .option('--auto-compaction <what>', 'off, a time such as 60m, or revisions', autoCompaction)
        .addHelpText(
          'after',
          examples('resize acme --size medium --wait', 'resize acme --storage 40 --quota 8GiB'),
        ),
    async (context, options, tenantId) => {
      const { size, storage, volume, quota, autoCompaction: compaction } = options;
      const spec = { size, storageGiB: storage, volume, quotaMiB: quota, autoCompaction: compaction };
      if (Object.values(spec).every((value) => value === undefined))
        throw new UsageError(
          'Say what to change: --size, --storage, --volume, --quota or --auto-compaction.',
        );
      await submit(context, options, tenantId, specRequest(tenantId, spec), {
        doing: 'Resizing',
        done: ({ spec: now }) =>
          `Tenant "${tenantId}" has size ${now.size}, ${now.storageGiB} GiB ${now.volume} and a quota of ${now.quotaMiB} MiB`,
      });
    },
  );

  define<WaitOptions & { version?: string }>(
    'patch <tenant>',
    (command) =>
      withWaiting(command, 'all members run it')
        .description('bring members to another etcd version, or to the image of now')
        .option(
          '--version <version>',
          'exact, or a minor such as 3.6 for its newest (default: newest of its minor)',
        )
        .addHelpText(
          'after',
          `${examples('patch acme', 'patch acme --version 3.6 --wait', 'patch acme --version 3.5.35')}\n\n` +
            'One minor at a time, up or down; all members have to be healthy for that. Known versions: nanny versions',
        ),
    async (context, options, tenantId) => {
      const version = await exactVersion(await context.api(), tenantId, options.version);
      await submit(context, options, tenantId, specRequest(tenantId, { version }), {
        doing: 'Patching',
        done: (tenant) => `Tenant "${tenantId}" runs etcd ${tenant.version}`,
      });
    },
  );

  define<WaitOptions & { reason?: string }>(
    'replace <tenant> <member>',
    (command) =>
      withWaiting(command, 'the newcomer serves and the member is gone')
        .description('replace one member by a new one in the same zone')
        .option('--reason <text>', 'for the timeline')
        .addHelpText(
          'after',
          examples('replace acme mk3x9q2ab --wait', 'replace acme mk3x9q2ab --reason "slow disk"'),
        ),
    async (context, options, tenantId, member = '') => {
      const path = pathOf(tenantId, `/members/${encodeURIComponent(member)}/replace`);
      const body = options.reason === undefined ? {} : { reason: options.reason };
      await submit(
        context,
        options,
        tenantId,
        { method: 'POST', path, body },
        {
          doing: `Replacing ${member} of`,
          done: () => `Member ${member} of "${tenantId}" is replaced`,
        },
      );
    },
  );

  define<WaitOptions & { retireOldNow?: boolean; reason?: string }>(
    'rotate-ca <tenant>',
    (command) =>
      withWaiting(command, 'every member trusts the new one, or with --retire-old-now no other any more')
        .description('replace the certificate authority: members first, clients as their certificates end')
        .option(
          '--retire-old-now',
          'do not wait for clients: every certificate issued before is refused within minutes (for a leaked CA)',
        )
        .option('--reason <text>', 'for the timeline')
        .addHelpText(
          'after',
          `${examples('rotate-ca acme --wait', 'rotate-ca acme --retire-old-now --reason "the key was in a log"')}\n\n` +
            'Clients get the new authority with their next credentials: nanny credentials acme. With --retire-old-now each of\n' +
            'them needs new credentials and the new ca.pem at once, or it is locked out.',
        ),
    async (context, options, tenantId) => {
      const { retireOldNow = false, reason } = options;
      const body = { retireOldNow, ...(reason !== undefined && { reason }) };
      await submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/ca/rotate'), body },
        {
          doing: 'Rotating the certificate authority of',
          done: ({ certificateAuthority }) =>
            certificateAuthority?.rotation?.oldTrustedUntil
              ? `Tenant "${tenantId}" has a new certificate authority; the old one is trusted until ${certificateAuthority.rotation.oldTrustedUntil}`
              : `Tenant "${tenantId}" trusts the new certificate authority alone`,
        },
      );
    },
  );

  define<CommonOptions & { reason?: string }>(
    'pause <tenant>',
    (command) =>
      command
        .description('switch automation off, repairs included; the cluster goes on serving')
        .option('--reason <text>', 'for the timeline')
        .addHelpText('after', examples('pause acme --reason "looking into it"')),
    async (context, { reason }, tenantId) => {
      const api = await context.api();
      const body = reason === undefined ? {} : { reason };
      const changed = await api.call({ method: 'POST', path: pathOf(tenantId, '/pause'), body });
      context.print(changed, () => [
        `Automation of "${tenantId}" is off: nothing is repaired until: nanny resume ${tenantId}`,
      ]);
    },
  );

  define(
    'resume <tenant>',
    (command) =>
      command.description('switch automation on again').addHelpText('after', examples('resume acme')),
    async (context, _options, tenantId) => {
      const api = await context.api();
      const changed = await api.call({ method: 'POST', path: pathOf(tenantId, '/resume') });
      context.print(changed, () => [`Automation of "${tenantId}" is on.`]);
    },
  );

  define<WaitOptions>(
    'approve <tenant>',
    (command) =>
      withWaiting(command, 'the cluster serves again')
        .description('agree to a recovery that waits, with the loss it states (see nanny get)')
        .addHelpText('after', examples('get acme', 'approve acme --wait')),
    async (context, options, tenantId) =>
      submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/recovery/approve') },
        {
          doing: 'Recovering',
          done: (tenant) => `Tenant "${tenantId}" is ${tenant.phase}`,
        },
      ),
  );
}

/** A minor stands for its newest offered version here: the API itself takes any patch of it for enough. */
async function exactVersion(api: Api, tenantId: string, wanted: string | undefined): Promise<string> {
  const current = async () =>
    (await api.call<TenantDocument>({ method: 'GET', path: pathOf(tenantId) })).spec.version;
  const minor = wanted ?? (await current()).replace(/\.\d+$/, '');
  if (!/^\d+\.\d+$/.test(minor)) return minor;
  const { offered } = await api.call<{ offered: { version: string; minor: string }[] }>({
    method: 'GET',
    path: '/v1/versions',
  });
  const newest = offered.find((entry) => entry.minor === minor);
  if (newest) return newest.version;
  if (wanted === undefined) return current();
  const known = offered.map(({ version }) => version).join(', ');
  throw new CliError(`No version of etcd ${minor} is offered here. Offered: ${known || 'none'}.`);
}
