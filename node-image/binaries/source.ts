import type { Machine } from './machine.ts';
import type { Platform } from './versions.ts';

export const binaries = ['etcd', 'etcdctl', 'etcdutl'] as const;

/** Where the binaries of a version came from. */
export type SourceName = 'directory' | 'cache' | 'path' | 'release' | 'go' | 'debian';

/** What every source gets. Facts that hold for all versions (no `go`, no network) are found out once, by `once`. */
export interface SourceContext {
  readonly machine: Machine;
  readonly platform: Platform;
  /** Folder for small things worth keeping between runs (package indexes). */
  readonly cacheDir: string;
  readonly allowUnpinned: boolean;
  readonly progress: (line: string) => void;
  readonly once: <T>(key: string, find: () => Promise<T>) => Promise<T>;
}

/** Puts etcd, etcdctl and etcdutl of one version into `stage`, or throws SourceFailure. */
export interface Source {
  readonly name: SourceName;
  obtain(version: string, stage: string, context: SourceContext): Promise<void>;
  /** Could `obtain` succeed, as far as can be told within seconds and kilobytes? Throws SourceFailure when not. */
  probe(version: string, context: SourceContext): Promise<void>;
}

/** One source cannot give one version: why, and what a person could do about it. */
export class SourceFailure extends Error {
  readonly advice: string | undefined;

  constructor(reason: string, advice?: string) {
    super(reason);
    this.name = 'SourceFailure';
    this.advice = advice;
  }
}

export function createOnce(): SourceContext['once'] {
  const found = new Map<string, Promise<unknown>>();
  return <T>(key: string, find: () => Promise<T>) => {
    const known = found.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const fresh = find();
    found.set(key, fresh);
    return fresh;
  };
}
