import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface StateFile<T> {
  readonly state: T;
  /** On disk when it returns, whole or not at all: written beside, then renamed. */
  save(): void;
}

/**
 * JSON state of a service, readable for the owner only.
 *
 * @throws Error with advice when the file is there but damaged
 */
export function openStateFile<T>(file: string, empty: T): StateFile<T> {
  mkdirSync(path.dirname(file), { recursive: true });
  const state = read<T>(file) ?? structuredClone(empty);
  return {
    state,
    save() {
      writeFileSync(`${file}.tmp`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.tmp`, file);
    },
  };
}

function read<T>(file: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Error(`${file} is damaged. Move the state folder away to start from nothing.`);
  }
}
