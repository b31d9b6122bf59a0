import { createHash } from 'node:crypto';
import path from 'node:path';
import { openStateFile, type StateFile } from '../../aws/state-file.ts';
import type { EcsState } from './model.ts';

export type EcsStore = StateFile<EcsState>;

const empty: EcsState = {
  format: 1,
  clusters: {},
  taskDefinitions: {},
  tasks: {},
  clientTokens: {},
  volumes: {},
  snapshots: {},
  lastAddress: {},
};

/** @throws Error with a sentence when the file is there but cannot be understood */
export function openStore(directory: string): EcsStore {
  const file = path.join(directory, 'state.json');
  const store = openStateFile(file, empty);
  // What was written before snapshots were known has none.
  Object.assign(store.state, { snapshots: store.state.snapshots ?? {} });
  if (store.state.format === 1) return store;
  throw new Error(
    `${file} was written by another version. Move the state folder away to start from nothing.`,
  );
}

/** Hash of a JSON value that does not depend on the order of its keys. */
export function contentHash(value: unknown): string {
  const sorted = JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return createHash('sha256').update(sorted).digest('hex');
}
