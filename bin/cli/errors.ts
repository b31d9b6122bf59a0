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

/** No answer at all from a deployment. */
export function unreachable(url: string, cause: unknown): CliError {
  const { name, message } = cause as Error;
  const code = (cause as { cause?: { code?: string } }).cause?.code ?? message;
  const why = name === 'TimeoutError' ? ' in time' : /ECONNREFUSED|ENOTFOUND/.test(code) ? '' : ` (${code})`;
  return new CliError(
    `Nothing answers at ${url}${why}; start the local cloud with "npm start", ` +
      'or point --url or NANNY_URL at a deployment.',
    { code: 'unreachable', cause },
  );
}
