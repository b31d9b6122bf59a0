import type { RuntimeName } from '../../local/docker.ts';

/** Everything the CLI touches outside of itself. bin/nanny.ts brings the real one, tests their own. */
export interface Output {
  /** A line on stdout: the result. */
  out(line: string): void;
  /** A line on stderr: progress and complaints. */
  err(line: string): void;
}

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface LocalCloudOptions {
  readonly port: number;
  readonly stateDir: string;
  readonly runtime: RuntimeName;
  readonly repoDir: string;
  readonly onProgress: (line: string) => void;
}

export interface LocalCloud {
  readonly url: string;
  readonly apiUrl: string;
  stop(): Promise<void>;
  /** Settles when it has stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
}

export interface EtcdBinaries {
  readonly etcdctl: string;
  readonly version: string;
}

/** A program in the background that reports by messages. */
export interface Background {
  readonly pid: number;
  /** Ends when the program is ready, has ended, or has been silent for `silenceMs`. */
  follow(onLine: (line: string) => void): Promise<{ ready: boolean; reason?: string }>;
}

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homeDir: string;
  /** Root of the checkout. */
  readonly repoDir: string;
  readonly output: Output;
  readonly fetch: typeof globalThis.fetch;
  now(): Date;
  sleep(ms: number): Promise<void>;
  randomId(): string;
  /** The default AWS chain: environment, shared config, SSO, process, container, instance. */
  awsCredentials(): Promise<AwsCredentials>;
  /** etcdctl of this version, or the best that can be had. */
  etcdBinaries(version: string, onProgress: (line: string) => void): Promise<EtcdBinaries>;
  /** Runs a program on this terminal. @returns its exit code */
  run(program: string, args: readonly string[], env: Record<string, string | undefined>): Promise<number>;
  /** Runs a program and collects what it prints. */
  capture(
    program: string,
    args: readonly string[],
    env: Record<string, string | undefined>,
  ): Promise<{ code: number; stdout: string; stderr: string }>;
  startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud>;
  /** Starts this CLI again in the background; its output goes to `logFile`. */
  startBackground(args: readonly string[], logFile: string): Promise<Background>;
  /** Tells the process that started us in the background, if one did. */
  report(message: { kind: 'line' | 'ready' | 'failed'; text: string }): void;
  /** Resolves at the first Ctrl-C or SIGTERM. */
  interrupted(): Promise<string>;
  processAlive(pid: number): boolean;
  signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void;
}
