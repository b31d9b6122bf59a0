import { resolve } from 'node:path';
import type { CommandContext, CommonOptions } from '../context.ts';
import { examples } from '../context.ts';
import { CliError } from '../errors.ts';
import { table } from '../format.ts';
import { type LocalControl, localControl } from '../local/local-target.ts';
import type { Define } from './index.ts';

interface StackEvent {
  readonly at: string;
  readonly logicalId: string;
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
}

export interface StackDocument {
  readonly name: string;
  readonly status: string;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly events: readonly StackEvent[];
  readonly resources: readonly { logicalId: string; type: string; ref: string }[];
}

const pollMs = 300;
const wellEnded = ['CREATE_COMPLETE', 'UPDATE_COMPLETE', 'DELETE_COMPLETE'];

/** Deploys further CDK apps to the local cloud, as `cdk deploy` would to AWS. */
export function defineStacks(define: Define): void {
  define<CommonOptions & { stack?: string }>(
    'deploy <directory>',
    (command) =>
      command
        .description('deploy a synthesized CDK app (its cdk.out) to the local cloud, or update it')
        .option('--stack <name>', 'only this stack of it')
        .addHelpText('after', examples('local deploy ../my-app/cdk.out', 'local deploy cdk.out --stack app')),
    async (context, options, directory) => {
      const control = await localControl(context.world, options);
      const { stacks } = await control.post<{ stacks: string[] }>('stacks', {
        directory: resolve(context.world.cwd, directory ?? ''),
        ...(options.stack === undefined ? {} : { stack: options.stack }),
      });
      for (const name of stacks) await follow(context, control, name);
      const all = (await listed(control)).filter(({ name }) => stacks.includes(name));
      context.print({ stacks: all.map(({ events: _, ...stack }) => stack) }, () =>
        all.flatMap((stack) => [`${stack.name}: ${stack.status}`, ...outputLines(stack)]),
      );
    },
  );

  define(
    'destroy <stack>',
    (command) =>
      command
        .description(
          'delete a stack that was deployed to the local cloud; of the cloud’s own stacks: ask whether it could go',
        )
        .addHelpText('after', examples('local destroy app', 'local destroy etcd-nanny-control-plane')),
    async (context, options, stack = '') => {
      const control = await localControl(context.world, options);
      const { rehearsal } = await control.post<{ rehearsal: boolean }>('stacks/destroy', { stack });
      if (!rehearsal) await follow(context, control, stack);
      context.print({ stack, rehearsal, status: rehearsal ? 'COULD_BE_DELETED' : 'DELETE_COMPLETE' }, () => [
        rehearsal
          ? `Nothing keeps ${stack} from being deleted. Here it goes with the state of the local cloud: nothing was done.`
          : `${stack}: DELETE_COMPLETE`,
      ]);
    },
  );

  define(
    'stacks',
    (command) =>
      command
        .description('stacks that were deployed to the local cloud')
        .addHelpText('after', examples('local stacks', 'local stacks --json')),
    async (context, options) => {
      const stacks = await listed(await localControl(context.world, options));
      context.print({ stacks }, () =>
        stacks.length === 0
          ? ['No stack was deployed to this cloud. See: nanny local deploy --help']
          : table(
              ['STACK', 'STATUS', 'RESOURCES'],
              stacks.map(({ name, status, resources }) => [name, status, String(resources.length)]),
            ),
      );
    },
  );
}

const listed = async (control: LocalControl): Promise<StackDocument[]> =>
  (await control.get<{ stacks: StackDocument[] }>('stacks')).stacks;

const outputLines = ({ outputs }: StackDocument): string[] =>
  Object.entries(outputs).map(([name, value]) => `  ${name} = ${String(value)}`);

/** Prints the events of a stack until its deployment or deletion has ended. @throws CliError when it failed */
async function follow(context: CommandContext, control: LocalControl, name: string): Promise<void> {
  let told = 0;
  for (;;) {
    const stack = (await listed(control)).find((one) => one.name === name);
    if (!stack) throw new CliError(`Stack ${name} is not there any more.`, { code: 'not-found' });
    for (const event of stack.events.slice(told)) {
      const { at, status, type, logicalId, reason } = event;
      context.world.output.err(
        `${at.slice(11, 19)}  ${status.padEnd(20)} ${type} ${logicalId}${reason ? `: ${reason}` : ''}`,
      );
    }
    told = stack.events.length;
    if (!stack.status.endsWith('_IN_PROGRESS')) {
      if (wellEnded.includes(stack.status)) return;
      const failed = stack.events.find(({ status }) => status.endsWith('_FAILED'));
      throw new CliError(`Stack ${name} is ${stack.status}: ${failed?.reason ?? 'see its events above'}`, {
        code: 'not-deployed',
      });
    }
    await context.world.sleep(pollMs);
  }
}
