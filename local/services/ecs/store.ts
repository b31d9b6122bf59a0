import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { EcsState } from './model.ts';

export interface EcsStore {
  readonly state: EcsState;
  /** On disk when it returns (written beside, then renamed): survives a kill -9 of this process at any moment. */
  save(): void;
}

const empty: EcsState = {
  format: 1,
  clusters: {},
  taskDefinitions: {},
  tasks: {},
  clientTokens: {},
  volumes: {},
  lastAddress: {},
};

/** @throws Error with a sentence when the file is there but cannot be understood */
export function openStore(directory: string): EcsStore {
  const file = path.join(directory, 'state.json');
  mkdirSync(directory, { recursive: true });
  const state = readState(file);
  return {
    state,
    save() {
      // It holds credential tokens, hence the mode.
      writeFileSync(`${file}.tmp`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.tmp`, file);
    },
  };
}

function readState(file: string): EcsState {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return structuredClone(empty);
    throw error;
  }
  try {
    const state = JSON.parse(text) as EcsState;
    if (state.format === 1) return state;
  } catch {
    // Falls through: same advice.
  }
  throw new Error(
    `${file} cannot be read by this version. Move the state folder away to start from nothing.`,
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
