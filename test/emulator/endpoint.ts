export interface Emulator {
  readonly endpoint: string;
  readonly account: string;
  /** What every AWS client of the CDK CLI goes by. */
  readonly environment: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the emulator is, from the environment; never AWS itself. */
export function emulatorOf(env: Environment): Emulator | { readonly problem: string } {
  const endpoint = env.AWS_ENDPOINT_URL;
  if (endpoint === undefined || endpoint === '') {
    return {
      problem:
        'This needs an emulator of AWS that you run yourself: set AWS_ENDPOINT_URL to its address, such as http://127.0.0.1:4566. ' +
        'Known to run real cdk deploys: MiniStack, Floci, AWS Emulator.',
    };
  }
  const host = URL.canParse(endpoint) ? new URL(endpoint).hostname : undefined;
  if (host === undefined) return { problem: `AWS_ENDPOINT_URL is no URL: ${endpoint}` };
  if (/(^|\.)amazonaws\.com(\.cn)?$/.test(host)) {
    return {
      problem: `AWS_ENDPOINT_URL is AWS itself (${host}). This deploys and destroys: it goes to emulators only.`,
    };
  }
  const account = env.EMULATOR_ACCOUNT ?? '000000000000';
  return {
    endpoint,
    account,
    environment: {
      AWS_REGION: env.AWS_REGION ?? 'us-east-1',
      CDK_DEFAULT_ACCOUNT: account,
      CDK_DEFAULT_REGION: env.AWS_REGION ?? 'us-east-1',
      // Whatever the caller has of real credentials stays out of it.
      AWS_ACCESS_KEY_ID: account,
      AWS_SECRET_ACCESS_KEY: 'emulator',
      AWS_SESSION_TOKEN: '',
      AWS_PROFILE: '',
    },
  };
}
