import type * as z from 'zod';
import type { estimateSchema } from '../../../lambdas/api/routes/restore.ts';
import type { RestoreReport } from '../../../lambdas/core/model/restore.ts';
import { examples, pathOf } from '../context.ts';
import { CliError, UsageError } from '../errors.ts';
import type { Define } from './index.ts';
import { type Changed, follow, submit, type WaitOptions, withWaiting } from './waiting.ts';

type Estimate = z.infer<typeof estimateSchema>;
type Answer = { estimate: Estimate } & Partial<Changed>;

interface RestoreOptions extends WaitOptions {
  readonly to?: string;
  readonly into?: string;
  readonly version?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Back to what was, to sleep and awake again. */
export function defineRestores(define: Define): void {
  define<RestoreOptions>(
    'restore <tenant>',
    (command) =>
      withWaiting(command, 'the restored cluster serves')
        .description('make the tenant, or a new one, what it was: newest, a revision, or a second')
        .option('--to <state>', 'newest, a revision, or a time such as 2026-11-22T17:58:03Z')
        .option('--into <tenant>', 'a new tenant; the old one is not touched')
        .option('--version <version>', 'etcd version of the new tenant, or a minor; the old one has its own')
        .option('--dry-run', 'only say what would come of it')
        .option('--yes', 'what was written since is lost: really do it')
        .addHelpText(
          'after',
          examples(
            'restore acme --to 2026-11-22T17:58:03Z --into acme-then --wait',
            'restore acme --to newest --into acme-next --version 3.7 --wait',
            'restore acme --to newest --dry-run',
            'restore acme --to 48211 --yes --wait',
          ),
        ),
    async (context, options, tenantId) => {
      const { into, version } = options;
      if (options.to === undefined)
        throw new UsageError('Say what is wanted back: --to newest, a revision or a time.');
      const to = /^\d+$/.test(options.to) ? Number(options.to) : options.to;
      const api = await context.api();
      const ask = (dryRun: boolean) =>
        api.call<Answer>({
          method: 'POST',
          path: pathOf(tenantId, '/restore'),
          body: {
            to,
            dryRun,
            ...(into !== undefined && { into }),
            ...(version !== undefined && { version }),
          },
        });
      const expected = await ask(true);
      if (options.dryRun) return void context.print(expected, () => tellEstimate(expected.estimate));
      for (const line of tellEstimate(expected.estimate)) context.progress(line);
      if (into === undefined && !options.yes) {
        throw new CliError(
          `This replaces "${tenantId}". If you mean it: nanny restore ${tenantId} --to ${options.to} --yes`,
          { code: 'not-confirmed' },
        );
      }
      const begun = await ask(false);
      const operation = begun.operation!;
      const ended = options.wait ? await follow(context, api, operation, options) : operation;
      context.print({ ...begun, operation: ended }, () =>
        ended.report === undefined
          ? [
              `The ${operation.kind} of "${operation.tenantId}" is ${ended.state} (${operation.operationId}). ` +
                `Follow it: nanny operations ${operation.tenantId} ${operation.operationId}`,
            ]
          : tellDone(operation.tenantId, ended.report),
      );
    },
  );

  define<WaitOptions>(
    'hibernate <tenant>',
    (command) =>
      withWaiting(command, 'nothing runs any more')
        .description('put the tenant to sleep: everything into a snapshot, then nothing runs')
        .addHelpText('after', examples('hibernate acme --wait')),
    (context, options, tenantId) =>
      submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/hibernate') },
        {
          doing: 'Putting to sleep',
          done: ({ hibernated }) => `Tenant "${tenantId}" is asleep at revision ${hibernated?.revision}`,
        },
      ),
  );

  define<WaitOptions>(
    'wake <tenant>',
    (command) =>
      withWaiting(command, 'the cluster serves')
        .description('wake the tenant up, as its spec is by now')
        .addHelpText('after', examples('wake acme --wait')),
    (context, options, tenantId) =>
      submit(
        context,
        options,
        tenantId,
        { method: 'POST', path: pathOf(tenantId, '/wake') },
        {
          doing: 'Waking up',
          done: () => `Tenant "${tenantId}" serves again`,
        },
      ),
  );
}

function tellEstimate({
  from,
  into,
  backupId,
  revision,
  segments,
  bytes,
  seconds,
  coveredUntil,
  lost,
}: Estimate) {
  const what = `Revision ${revision} of "${from}" (everything of before ${coveredUntil}) into "${into}"`;
  const how = `from backup ${backupId} and ${segments} segments, ${(bytes / 2 ** 20).toFixed(1)} MiB, in about ${seconds} s.`;
  if (lost === null) return [`${what}, ${how}`];
  return [`${what}, ${how}`, `Lost: ${lost.revisions} revisions, everything written after ${lost.since}.`];
}

function tellDone(tenantId: string, { revision, revisionNow, keys, seconds, lost }: RestoreReport): string[] {
  const { prepare, fence, boot, total } = seconds;
  const gone = lost === null ? [] : [`Lost: ${lost.revisions} revisions, everything after ${lost.since}.`];
  return [
    `"${tenantId}" serves revision ${revision} with ${keys} keys; its revisions go on from ${revisionNow}.`,
    `It took ${total.toFixed(1)} s: preparing ${prepare.toFixed(1)}, stopping ${fence.toFixed(1)}, starting ${boot.toFixed(1)}.`,
    ...gone,
  ];
}
