import type { ProcessIdentity } from './model.ts';

/** What runs the containers of a task: processes of this machine, or a Docker engine. */
export interface ContainerRuntime {
  readonly how: {
    /** How `cut` is done, for people. */
    readonly cut: string;
    /** Whether a container sees that its volume was moved onto a small file system while it runs. */
    readonly fillDisk: boolean;
  };
  /** Before anything is started: clears what a cloud that was killed has left. */
  open?(): Promise<void>;
  /** When nothing runs any more. */
  close?(): Promise<void>;
  /** @throws ContainerStartError */
  start(spec: ContainerSpec): Promise<RunningContainer>;
  /** Ends what a cloud that was killed has left of a container. False when nothing was left. */
  reap(identity: ProcessIdentity, spec: Pick<ContainerSpec, 'directory' | 'marker'>): Promise<boolean>;
}

export interface ContainerSpec {
  /** The same for each of its lives, and of no other container. */
  readonly name: string;
  readonly image: string;
  /** Arguments instead of the image's own (CMD). */
  readonly command?: readonly string[] | undefined;
  /** Without the image's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly mounts: readonly { readonly containerPath: string; readonly directory: string }[];
  /** Own scratch folder of the container; exists. */
  readonly directory: string;
  readonly logFile: string;
  /** The task's own address and where it lies. */
  readonly network: { readonly ip: string; readonly subnetCidr: string; readonly zone: string };
  /** Limits: 1024 units are one CPU. */
  readonly cpuUnits: number;
  readonly memoryMiB: number;
  readonly linux: {
    /** `uid:gid`; the image's own when absent. */
    readonly user: string | undefined;
    readonly readonlyRootFilesystem: boolean;
    readonly initProcess: boolean;
    readonly dropCapabilities: readonly string[];
  };
  /** Unguessable text that is in the environment of this container and of no other. */
  readonly marker: string;
}

export interface RunningContainer {
  readonly identity: ProcessIdentity;
  /** Settles once nothing of the container is alive any more, as a PID namespace dies with its first process. */
  readonly exited: Promise<{ readonly exitCode: number }>;
  /** SIGTERM to the main process, SIGKILL to all of them after `graceMs`. Settles with `exited`. */
  stop(graceMs: number): Promise<void>;
  /** `main`: the first process only. `all`: with its descendants. */
  signal(signal: NodeJS.Signals, target: 'main' | 'all'): void;
  /** Pids on this machine of what runs in it now, zombies left out. */
  processes(): readonly number[];
  /** Nobody reaches it, and it reaches nobody, until `mend`. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

/** Maps image URIs to what the process runtime runs. `*` in a pattern stands for any text. */
export type ImageCatalog = Readonly<
  Record<
    string,
    { readonly command: readonly string[]; readonly environment?: Readonly<Record<string, string>> }
  >
>;

export class ContainerStartError extends Error {
  /** As in ECS's stopped reasons: `CannotPullContainerError`, `CannotStartContainerError`. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.name = 'ContainerStartError';
    this.code = code;
  }
}
