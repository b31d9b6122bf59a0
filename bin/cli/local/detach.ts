import type { CommandContext } from '../context.ts';
import { CliError } from '../errors.ts';
import { localStatus } from './running.ts';
import { stateFlag } from './start.ts';

/** Starts this CLI again in the background, shows what it reports, and comes back when it is ready. */
export async function startDetached(
  context: CommandContext,
  args: readonly string[],
  logFile: string,
  stateDir: string,
): Promise<number> {
  const { world } = context;
  const background = await world.startBackground(args, logFile);
  const show = (line: string) => (context.json ? world.output.err(line) : world.output.out(line));
  const { ready, reason } = await background.follow(show);
  if (!ready) {
    throw new CliError(
      `The local cloud did not start: ${(reason ?? 'it ended').replace(/\.$/, '')}. Its log is ${logFile}.`,
      {
        code: 'not-started',
      },
    );
  }
  const status = await localStatus(world, stateDir);
  const document = { url: status.url, pid: background.pid, stateDir, log: logFile };
  const flag = stateFlag(world, stateDir);
  context.print(document, () => [
    `Running in the background (process ${background.pid}); log: ${logFile}`,
    `Stop it: npx nanny local stop${flag}`,
  ]);
  return 0;
}
