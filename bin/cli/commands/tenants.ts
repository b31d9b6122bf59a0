import type { Command } from 'commander';
import type { Operation, TimelineEvent } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import { type CommonOptions, examples, pathOf } from '../context.ts';
import { table } from '../format.ts';
import { operationLines, tenantLines, tenantTable, timelineLines } from '../show-tenant.ts';
import { wholeNumber } from '../values.ts';
import type { Define } from './index.ts';

const limitOption = (command: Command, what: string) =>
  command.option('--limit <n>', `show at most this many ${what}`, wholeNumber, 50);

interface LimitOptions extends CommonOptions {
  readonly limit: number;
}

export function defineReading(define: Define): void {
  define(
    'list',
    (command) =>
      command.description('list all tenants').addHelpText('after', examples('list', 'list --json')),
    async (context) => {
      const api = await context.api();
      const items = await api.all<TenantDocument>('/v1/tenants');
      context.print({ items }, () =>
        items.length === 0
          ? ['No tenants yet. Create one: nanny create acme --members 3 --wait']
          : tenantTable(items, context.world.now()),
      );
    },
  );

  define(
    'get <tenant>',
    (command) =>
      command
        .description('show one tenant: members, health, conditions')
        .addHelpText('after', examples('get acme', 'get acme --json')),
    async (context, _options, tenantId) => {
      const api = await context.api();
      const tenant = await api.call<TenantDocument>({ method: 'GET', path: pathOf(tenantId) });
      context.print(tenant, () => tenantLines(tenant, context.world.now()));
    },
  );

  define<LimitOptions>(
    'timeline <tenant>',
    (command) =>
      limitOption(command, 'events')
        .description('what was seen, decided, done and refused (the newest events, oldest first)')
        .addHelpText('after', examples('timeline acme', 'timeline acme --limit 200')),
    async (context, options, tenantId) => {
      const api = await context.api();
      const items = await api.all<TimelineEvent>(pathOf(tenantId, '/timeline'), options.limit);
      context.print({ items }, () =>
        items.length === 0
          ? [`Nothing has happened to "${tenantId}" in the last 30 days.`]
          : timelineLines(items, context.world.now()),
      );
    },
  );

  define<LimitOptions>(
    'operations <tenant> [operation]',
    (command) =>
      limitOption(command, 'operations')
        .description('operations with their steps and times, newest first')
        .addHelpText('after', examples('operations acme')),
    async (context, options, tenantId, operationId) => {
      const api = await context.api();
      if (operationId) {
        const path = pathOf(tenantId, `/operations/${encodeURIComponent(operationId)}`);
        const operation = await api.call<Operation>({ method: 'GET', path });
        context.print(operation, () => operationLines([operation], context.world.now()));
        return;
      }
      const items = await api.all<Operation>(pathOf(tenantId, '/operations'), options.limit);
      context.print({ items }, () =>
        items.length === 0
          ? [`No operations on "${tenantId}" yet.`]
          : operationLines(items, context.world.now()),
      );
    },
  );

  define(
    'versions',
    (command) =>
      command
        .description('etcd versions that this deployment offers')
        .addHelpText('after', examples('versions')),
    async (context) => {
      const api = await context.api();
      const versions = await api.call<Versions>({ method: 'GET', path: '/v1/versions' });
      context.print(versions, () =>
        table(
          ['VERSION', 'STATE', 'NOTE'],
          versions.offered.map(({ version, state, reason }) => [
            version === versions.default ? `${version} (default)` : version,
            state,
            reason ?? '',
          ]),
        ),
      );
    },
  );
}

interface Versions {
  default: string;
  offered: { version: string; state: string; reason: string | null }[];
}
