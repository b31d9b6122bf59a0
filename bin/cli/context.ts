import type { Command } from 'commander';
import { type Api, createApi } from './api.ts';
import { resolveTarget } from './target.ts';
import type { World } from './world.ts';

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
  readonly state?: string;
  readonly region?: string;
}

export interface CommandContext {
  readonly world: World;
  readonly json: boolean;
  api(): Promise<Api>;
  /** Text for people, or the one JSON document. */
  print(document: unknown, lines: () => readonly string[]): void;
  progress(line: string): void;
}

export function contextOf(world: World, options: CommonOptions): CommandContext {
  return {
    world,
    json: options.json ?? false,
    api: async () => createApi(world, await resolveTarget(world, options)),
    print(document, lines) {
      if (options.json) world.output.out(JSON.stringify(document, undefined, 2));
      else for (const line of lines()) world.output.out(line);
    },
    progress: (line) => world.output.err(line),
  };
}

export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print one JSON document on stdout and nothing else')
    .option('--url <url>', 'deployment to speak to (default: NANNY_URL, else the local cloud)')
    .option('--state <dir>', 'state folder of the local cloud to speak to (default: .local)')
    .option('--region <region>', 'AWS region for signing (default: from the URL, else AWS_REGION)');
}

/** Examples below the help of a command. */
export const examples = (...lines: string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ nanny ${line}`).join('\n')}`;

export const pathOf = (tenantId: string, below = ''): string =>
  `/v1/tenants/${encodeURIComponent(tenantId)}${below}`;
