import type { TestCloud } from '../test/e2e/support/cloud.ts';

/** What a benchmark is given that brings its own nannies. */
export interface AloneContext {
  readonly version: string;
  readonly runs: number;
  say(line: string): void;
}

/** What every other benchmark is given. */
export interface BenchContext extends AloneContext {
  /** A local cloud of its own; `remove` deletes a tenant and waits for it. */
  readonly cloud: TestCloud & { remove(tenantId: string): Promise<void> };
  /** Folder of etcd and etcdctl of `version`: both sides run the same binary. */
  readonly etcdDir: string;
  /** An earlier patch release of the same minor. */
  readonly older: { readonly version: string; readonly etcdDir: string };
}
