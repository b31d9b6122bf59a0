import type { Command } from 'commander';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { Api, ApiRequest } from '../api.ts';
import { type CommandContext, type CommonOptions, pathOf } from '../context.ts';
import { shortTime } from '../format.ts';
import { duration } from '../values.ts';
import { defaultWaitSeconds, waitFor } from '../wait.ts';

export interface WaitOptions extends CommonOptions {
  readonly wait?: boolean;
  readonly timeout: number;
}

export interface Changed {
  tenant: TenantDocument;
  operation: Operation;
}

export const withWaiting = (command: Command, until: string): Command =>
  command
    .option('--wait', `wait until ${until}; show each step`)
    .option('--timeout <time>', 'how long to wait', duration, defaultWaitSeconds);

export const follow = (
  context: CommandContext,
  api: Api,
  operation: Operation,
  options: WaitOptions,
): Promise<Operation> =>
  waitFor(context.world, api, operation, { timeoutSeconds: options.timeout, onLine: context.progress });

/** Sends a request that answers tenant and operation, waits for its end if that is wanted, and prints both. */
export async function submit(
  context: CommandContext,
  options: WaitOptions,
  tenantId: string,
  request: ApiRequest,
  told: { readonly doing: string; readonly done: (tenant: TenantDocument) => string },
): Promise<void> {
  const api = await context.api();
  const begin = context.world.now().getTime();
  let changed = await api.call<Changed>(request);
  const ended = changed.operation.endedAt !== undefined;
  if (options.wait && !ended) {
    context.progress(`${told.doing} "${tenantId}"`);
    const operation = await follow(context, api, changed.operation, options);
    changed = {
      tenant: await api.call<TenantDocument>({ method: 'GET', path: pathOf(tenantId) }),
      operation,
    };
  }
  const took = shortTime(context.world.now().getTime() - begin);
  const { kind, operationId, state } = changed.operation;
  context.print(changed, () => {
    if (ended) return [`${told.done(changed.tenant)}: nothing was left to do.`];
    if (options.wait) return [`${told.done(changed.tenant)}, after ${took}.`];
    return [
      `The ${kind} of "${tenantId}" is ${state} (${operationId}). Follow it: nanny operations ${tenantId} ${operationId}`,
    ];
  });
}
