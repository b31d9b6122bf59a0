/** Exit codes of the CLI. */
export const exitCodes = { done: 0, failed: 1, wrongUse: 2 } as const;

/** Ends the command with a sentence and exit code 1. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: number;
  readonly problems: readonly { readonly field: string; readonly message: string }[];

  constructor(
    message: string,
    options: { code?: string; exitCode?: number; problems?: CliError['problems']; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code ?? 'failed';
    this.exitCode = options.exitCode ?? exitCodes.failed;
    this.problems = options.problems ?? [];
  }
}

/** The command was called wrongly: exit code 2. */
export class UsageError extends CliError {
  constructor(message: string) {
    super(message, { code: 'wrong-use', exitCode: exitCodes.wrongUse });
  }
}
