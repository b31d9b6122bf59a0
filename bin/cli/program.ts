import { Command, CommanderError } from 'commander';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import { defineAccess } from './commands/access.ts';
import { defineBackups } from './commands/backups.ts';
import { defineChanges } from './commands/changes.ts';
import { defineChaos } from './commands/chaos.ts';
import { defineCost } from './commands/cost.ts';
import { defineFleet } from './commands/fleet.ts';
import type { Define } from './commands/index.ts';
import { defineLocal } from './commands/local.ts';
import { defineOperations } from './commands/operate.ts';
import { defineRestores } from './commands/restore.ts';
import { defineStacks } from './commands/stacks.ts';
import { defineReading } from './commands/tenants.ts';
import { contextOf, withCommonOptions } from './context.ts';
import { CliError, exitCodes } from './errors.ts';
import type { World } from './world.ts';

const help = `
Start here:
  $ npm start                                    the local cloud, with a tenant "demo"
  $ nanny create acme --members 3 --wait
  $ nanny etcdctl acme -- put hello world
  $ nanny connect acme --format env
  $ nanny scale acme --members 5 --wait

Exit code: 0 done, 1 failed, 2 wrong use. --json prints one JSON document on stdout; progress goes to stderr.`;

/**
 * Runs the CLI once.
 * @param argv without program and script
 * @returns the exit code
 */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = new Command('nanny');
  const define =
    (parent: Command): Define =>
    (nameAndArguments, build, act) => {
      const command = withCommonOptions(build(parent.command(nameAndArguments)));
      command.action(async (...received: unknown[]) => {
        const options = command.optsWithGlobals();
        const args = received.slice(0, -2) as string[];
        exitCode = (await act(contextOf(world, options), options as never, ...args)) ?? exitCodes.done;
      });
    };
  withCommonOptions(program)
    .description(
      'Managed etcd for your own AWS account: a dedicated, highly available etcd cluster per tenant.',
    )
    .enablePositionalOptions()
    .addHelpText('after', help);
  defineChanges(define(program));
  defineOperations(define(program));
  defineBackups(define(program));
  defineRestores(define(program));
  defineReading(define(program));
  defineAccess(define(program));
  defineCost(define(program));
  const local = program
    .command('local')
    .description('the local cloud: what cdk deploy ships, on this machine');
  defineLocal(define(local));
  defineStacks(define(local));
  const chaos = program
    .command('chaos')
    .description('hurt the local cloud on purpose (never a real deployment)');
  defineChaos(define(chaos));
  const fleet = program.command('fleet').description('all tenants at once: patches in waves');
  defineFleet(define(fleet));
  const groups = [program, local, chaos, fleet];
  for (const command of [...groups, ...groups.flatMap((group) => group.commands)]) tame(command, world);

  try {
    if (argv.length === 0) {
      program.outputHelp();
      return exitCodes.wrongUse;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, argv, world);
  }
}

/** Commander neither ends the process nor writes past our output. */
function tame(command: Command, { output }: World): void {
  command.exitOverride();
  command.showHelpAfterError(false);
  command.configureOutput({
    writeOut: (text) => output.out(text.trimEnd()),
    writeErr: (text) => output.err(text.trimEnd()),
    outputError: () => {},
  });
}

/** JSON wanted before the arguments of a program that nanny runs. */
const wantsJson = (argv: readonly string[]): boolean =>
  argv.slice(0, argv.indexOf('--') < 0 ? undefined : argv.indexOf('--')).includes('--json');

function explain(error: unknown, argv: readonly string[], { output, report }: World): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
  const failure = failureOf(error, argv);
  if (wantsJson(argv)) {
    const { code, message, problems } = failure;
    output.out(
      JSON.stringify(
        { error: { code, message, ...(problems.length > 0 ? { problems } : {}) } },
        undefined,
        2,
      ),
    );
  }
  output.err(failure.message);
  report({ kind: 'failed', text: failure.message });
  return failure.exitCode;
}

function failureOf(error: unknown, argv: readonly string[]): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof CommanderError) {
    const said = error.message.replace(/^error: /, '');
    const sentence =
      said === '(outputHelp)' ? 'Say which command.' : `${said.charAt(0).toUpperCase()}${said.slice(1)}`;
    const command = argv.find((word) => !word.startsWith('-'));
    const where = command === undefined || error.code === 'commander.unknownCommand' ? '' : ` ${command}`;
    return new CliError(`${sentence.replace(/([^.?!])$/, '$1.')} See: nanny${where} --help`, {
      code: 'wrong-use',
      exitCode: exitCodes.wrongUse,
    });
  }
  if (error instanceof ControlPlaneError)
    return new CliError(error.message, { code: error.code, cause: error });
  return new CliError(`nanny itself failed: ${(error as Error).stack ?? String(error)}`, {
    code: 'internal',
    cause: error,
  });
}
