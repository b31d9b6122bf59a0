import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type CliResult, finished, repoDir, type TestCloud } from './cloud.ts';
import type { Command } from './runbook.ts';

/** What stands for what: `acme` for the tenant that is meant, `<follower>` for a member's name. */
export type Meant = Readonly<Record<string, string>>;

/**
 * Runs lines of a runbook in a shell, as an operator would who works on this local cloud: with the real CLI, and `--state`.
 * @throws Error when one does not end as the runbook says, or prints something else
 */
export async function follow(cloud: TestCloud, commands: readonly Command[], meant: Meant): Promise<void> {
  const asMeant = (text: string): string =>
    Object.entries(meant).reduce((line, [word, is]) => line.replaceAll(word, is), text);
  for (const command of commands) {
    const text = asMeant(command.text);
    const { code, stdout, stderr } = await shell(withState(text, cloud.stateDir));
    const printed = `${stdout}${stderr}`.replaceAll(/\s+/g, ' ');
    const missing = command.says.map(asMeant).filter((words) => !printed.includes(words));
    if ((code === 0) === command.fails || missing.length > 0)
      throw new Error(
        `${text} (exit code ${code}) does not print ${JSON.stringify(missing)}:\n${stdout}${stderr}`,
      );
  }
}

const withState = (text: string, stateDir: string): string =>
  text.replaceAll(/\bnpx nanny ((?:chaos|fleet|local) )?[a-z-]+/g, `$& --state '${stateDir}'`);

function shell(line: string): Promise<CliResult> {
  const nanny = `npx() { shift; '${process.execPath}' '${join(repoDir, 'bin/nanny.ts')}' "$@"; }`;
  const child = spawn('bash', ['-c', `${nanny}\n${line}`], {
    cwd: repoDir,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return finished(child);
}
