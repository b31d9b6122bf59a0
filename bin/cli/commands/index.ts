import type { Command } from 'commander';
import type { CommandContext, CommonOptions } from '../context.ts';

/** Adds one command to the program; bound to world and exit code by program.ts. */
export type Define = <O extends CommonOptions = CommonOptions>(
  nameAndArguments: string,
  build: (command: Command) => Command,
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands return nothing, which means exit code 0
  act: (context: CommandContext, options: O, ...args: string[]) => Promise<number | void>,
) => void;
