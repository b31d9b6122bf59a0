import { cpSync, existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openStateFile, type StateFile } from '../aws/state-file.ts';

// biome-ignore lint/suspicious/noExplicitAny: resolved properties of a template
export type Properties = Record<string, any>;

/** A resource as it stands, properties resolved. */
export interface StackResource {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: Properties;
  readonly ref: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly deletionPolicy?: string;
  readonly updateReplacePolicy?: string;
}

export interface StackEvent {
  readonly at: string;
  readonly logicalId: string;
  readonly type: string;
  /** As CloudFormation words it, such as UPDATE_FAILED. */
  readonly status: string;
  readonly reason?: string;
}

export interface Stack {
  readonly name: string;
  status: string;
  /** Dependencies first. */
  resources: StackResource[];
  outputs: Record<string, unknown>;
  /** Of the last deployment or deletion. */
  events: StackEvent[];
}

interface State {
  readonly stacks: Record<string, Stack>;
  /** Custom resources of the cloud's own stacks, by `<stack>/<logicalId>`. */
  readonly own: Record<string, { properties: Properties; ref: string }>;
  /** Object key of an asset → its folder below `assets`. */
  readonly assets: Record<string, string>;
}

/** `<state>/cloudformation`: stacks that were deployed to this cloud, and their assets. */
export class StackStore {
  readonly #directory: string;
  readonly #file: StateFile<State>;

  constructor(stateDir: string) {
    this.#directory = join(stateDir, 'cloudformation');
    this.#file = openStateFile(join(this.#directory, 'stacks.json'), { stacks: {}, own: {}, assets: {} });
  }

  get stacks(): Record<string, Stack> {
    return this.#file.state.stacks;
  }

  get own(): State['own'] {
    return this.#file.state.own;
  }

  save(): void {
    this.#file.save();
  }

  /** The synthesized app may be gone tomorrow, its functions stay. */
  keepAsset(key: string, source: string): string {
    const target = join(this.#directory, 'assets', basename(key).replace(/\W/g, '_'));
    if (!existsSync(target)) cpSync(source, target, { recursive: true });
    this.#file.state.assets[key] = target;
    return target;
  }

  assets(): Readonly<Record<string, string>> {
    return this.#file.state.assets;
  }
}
