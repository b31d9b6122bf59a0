import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { CliError, UsageError, unreachable } from './errors.ts';
import type { AwsCredentials, World } from './world.ts';

/** `<state>/cloud.json`, written by the local cloud. */
export const cloudFileSchema = z.object({
  url: z.url(),
  /** Base URL of the provisioning API. */
  apiUrl: z.url().optional(),
  /** Absent when it is stopped. */
  pid: z.int().optional(),
  port: z.int(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  sessionToken: z.string().optional(),
  region: z.string().optional(),
});

export type CloudFile = z.infer<typeof cloudFileSchema>;

export interface TargetOptions {
  readonly url?: string;
  readonly state?: string;
  readonly region?: string;
}

/** A deployment of the control plane and how to speak to it. */
export interface Target {
  /** Base URL of the API, without a slash at its end. */
  readonly url: string;
  readonly region: string;
  readonly credentials: () => Promise<AwsCredentials>;
  /** Where the CLI may keep short-lived credentials for this deployment. */
  readonly cacheDir: string;
}

export const defaultPort = 4700;
export const defaultStateDir = '.local';

export const stateDirOf = (world: World, state: string | undefined): string =>
  state === undefined ? join(world.repoDir, defaultStateDir) : resolve(world.cwd, state);

/** Undefined when no local cloud has written there, or what is there is not what it writes. */
export async function readCloudFile(stateDir: string): Promise<CloudFile | undefined> {
  try {
    return cloudFileSchema.parse(JSON.parse(await readFile(join(stateDir, 'cloud.json'), 'utf8')));
  } catch {
    return undefined;
  }
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host);
const origin = (url: string): string => new URL(url).origin;

/** `--url`, else NANNY_URL, else the local cloud of `--state`, else the local cloud's usual address. */
export async function resolveTarget(world: World, options: TargetOptions): Promise<Target> {
  const given = options.url ?? (options.state === undefined ? world.env.NANNY_URL : undefined);
  const stateDir = stateDirOf(world, options.state);
  const own = await readCloudFile(stateDir);
  const url = checkUrl(given ?? own?.apiUrl ?? own?.url ?? `http://127.0.0.1:${defaultPort}`);
  if (own && origin(own.url) === origin(url)) return localTarget(url, own, stateDir, options);
  if (isLoopback(new URL(url).hostname)) {
    const elsewhere = await askForStateDir(world, url);
    const file = elsewhere === undefined ? undefined : await readCloudFile(elsewhere);
    if (file && elsewhere) return localTarget(url, file, elsewhere, options);
  }
  const region = options.region ?? regionOf(world, url);
  return {
    url,
    region,
    credentials: () => defaultCredentials(world, url),
    cacheDir: join(
      world.env.XDG_CACHE_HOME ?? join(world.homeDir, '.cache'),
      'etcd-nanny',
      new URL(url).host,
    ),
  };
}

function localTarget(url: string, file: CloudFile, stateDir: string, options: TargetOptions): Target {
  const { accessKeyId, secretAccessKey, sessionToken } = file;
  return {
    url,
    region: options.region ?? file.region ?? 'us-east-1',
    credentials: async () => ({ accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) }),
    cacheDir: join(stateDir, 'cli'),
  };
}

function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`"${text}" is not a URL. Give one such as http://127.0.0.1:${defaultPort}.`);
  }
  return text.replace(/\/+$/, '');
}

/** `<id>.execute-api.<region>.amazonaws.com`, else the environment's region. */
function regionOf(world: World, url: string): string {
  const [, region] = /\.execute-api\.([a-z0-9-]+)\.amazonaws\.com/.exec(new URL(url).hostname) ?? [];
  return region ?? world.env.AWS_REGION ?? world.env.AWS_DEFAULT_REGION ?? 'us-east-1';
}

async function defaultCredentials(world: World, url: string): Promise<AwsCredentials> {
  try {
    return await world.awsCredentials();
  } catch (cause) {
    throw new CliError(
      `There are no AWS credentials to sign requests to ${url} with. Log in (aws sso login, AWS_PROFILE, ` +
        'AWS_ACCESS_KEY_ID ...), or start the local cloud with "npm start".',
      { code: 'no-credentials', cause },
    );
  }
}

/**
 * A local cloud on another port says itself where its state is.
 * @throws CliError when nothing listens there
 */
async function askForStateDir(world: World, url: string): Promise<string | undefined> {
  try {
    const answer = await world.fetch(`${origin(url)}/_local/status`, { signal: AbortSignal.timeout(3_000) });
    return z.object({ stateDir: z.string() }).parse(await answer.json()).stateDir;
  } catch (error) {
    if ((error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED')
      throw unreachable(url, error);
    return undefined;
  }
}
