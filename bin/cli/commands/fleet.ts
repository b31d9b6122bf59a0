import type { Rollout } from '../../../lambdas/core/model/rollout.ts';
import { waves } from '../../../lambdas/core/model/rollout.ts';
import type { CommandContext, CommonOptions } from '../context.ts';
import { examples } from '../context.ts';
import { UsageError } from '../errors.ts';
import { plural } from '../format.ts';
import { wholeNumber } from '../values.ts';
import type { Define } from './index.ts';

const path = '/v1/fleet/patch';

interface Answer {
  readonly rollout: Rollout;
}

interface PatchOptions extends CommonOptions {
  readonly version?: string;
  readonly canary?: string[];
  readonly bakeMinutes?: number;
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** All tenants at once, in waves. */
export function defineFleet(define: Define): void {
  define<PatchOptions>(
    'patch',
    (command) =>
      command
        .description('bring all tenants of a minor to one of its releases, wave by wave')
        .option('--version <version>', 'exact, or a minor such as 3.6 for its newest')
        .option('--canary <tenants>', 'who goes first, separated by commas', list)
        .option('--bake-minutes <n>', 'how long a wave is watched before the next (default 60)', wholeNumber)
        .addHelpText(
          'after',
          examples(
            'fleet patch --version 3.6.16 --canary test,stage',
            'fleet patch --version 3.6 --bake-minutes 1440',
          ),
        ),
    async (context, { version, canary, bakeMinutes }) => {
      if (version === undefined)
        throw new UsageError('Say which version: nanny fleet patch --version 3.6.16.');
      await show(context, 'POST', path, { version, canary, bakeMinutes });
    },
  );
  define(
    'status',
    (command) =>
      command
        .description('the newest fleet patch: wave, tenants under way and held, what happened')
        .addHelpText('after', examples('fleet status', 'fleet status --json')),
    (context) => show(context, 'GET', path),
  );
  define<CommonOptions & { reason?: string }>(
    'stop',
    (command) =>
      command
        .description('begin no further tenant; patches under way end')
        .option('--reason <text>', 'for those who read the status')
        .addHelpText('after', examples('fleet stop --reason "looking into stage"')),
    (context, { reason }) => show(context, 'POST', `${path}/stop`, { reason }),
  );
  define(
    'resume',
    (command) =>
      command
        .description('go on with a fleet patch that was stopped or has stopped by itself')
        .addHelpText('after', examples('fleet resume')),
    (context) => show(context, 'POST', `${path}/resume`),
  );
}

async function show(
  context: CommandContext,
  method: 'GET' | 'POST',
  at: string,
  body?: Record<string, unknown>,
): Promise<void> {
  const api = await context.api();
  const given = body && Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  const answer = await api.call<Answer>({ method, path: at, ...(given && { body: given }) });
  context.print(answer, () => fleetLines(answer.rollout));
}

export function fleetLines(rollout: Rollout): string[] {
  const { state, version, wave, patched, passedOver, patching, held, stopped, bakingSince } = rollout;
  const where = state === 'done' ? '' : `, wave ${waves[wave]!.name}`;
  const baking = state === 'running' && bakingSince !== undefined ? `, watched since ${bakingSince}` : '';
  return [
    `Fleet patch to etcd ${version}: ${state}${where}${baking}`,
    `${plural(patched, 'tenant')} patched, ${passedOver} passed over`,
    ...(stopped ? [`Stopped at ${stopped.at} by ${stopped.by}: ${stopped.reason}`] : []),
    ...patching.map(({ tenantId, since }) => `  patching ${tenantId} since ${since}`),
    ...held.map(({ tenantId, reason }) => `  held     ${tenantId}: ${reason}`),
    ...rollout.events.slice(-20).map(({ at, message }) => `${at}  ${message}`),
  ];
}
