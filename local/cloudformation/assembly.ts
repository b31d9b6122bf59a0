import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A stack of the cloud assembly that CDK has synthesized. */
export interface StackTemplate {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: a CloudFormation template
  readonly template: any;
}

export interface Assembly {
  /** In an order in which they can be deployed. */
  readonly stacks: readonly StackTemplate[];
  /** Object key of a file asset → the file or directory it is made of. */
  readonly assets: ReadonlyMap<string, string>;
}

/** @throws Error when the directory holds no synthesized app */
export function readAssembly(directory: string): Assembly {
  const stacks: StackTemplate[] = [];
  const assets = new Map<string, string>();
  readInto(directory, stacks, assets);
  if (stacks.length === 0) throw new Error(`The synthesized app in ${directory} has no stack.`);
  return { stacks, assets };
}

interface Artifact {
  readonly type: string;
  readonly dependencies?: string[];
  readonly properties?: { templateFile?: string; stackName?: string; directoryName?: string; file?: string };
}

function readInto(directory: string, stacks: StackTemplate[], assets: Map<string, string>): void {
  const file = join(directory, 'manifest.json');
  if (!existsSync(file)) throw new Error(`There is no synthesized CDK app in ${directory}.`);
  const artifacts: Record<string, Artifact> = readJson(file).artifacts ?? {};
  const done = new Set<string>();
  const visit = (id: string): void => {
    const artifact = artifacts[id];
    if (done.has(id) || !artifact) return;
    done.add(id);
    for (const dependency of artifact.dependencies ?? []) visit(dependency);
    const { properties = {} } = artifact;
    if (artifact.type === 'cdk:cloud-assembly' && properties.directoryName) {
      readInto(join(directory, properties.directoryName), stacks, assets);
    } else if (artifact.type === 'cdk:asset-manifest' && properties.file) {
      readAssets(directory, properties.file, assets);
    } else if (artifact.type === 'aws:cloudformation:stack' && properties.templateFile) {
      stacks.push({
        name: properties.stackName ?? id,
        template: readJson(join(directory, properties.templateFile)),
      });
    }
  };
  for (const id of Object.keys(artifacts)) visit(id);
}

function readAssets(directory: string, file: string, assets: Map<string, string>): void {
  const { files = {} } = readJson(join(directory, file)) as {
    files?: Record<
      string,
      { source: { path?: string }; destinations: Record<string, { objectKey: string }> }
    >;
  };
  for (const { source, destinations } of Object.values(files)) {
    for (const { objectKey } of Object.values(destinations)) {
      if (source.path) assets.set(objectKey, join(directory, source.path));
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: JSON written by CDK
function readJson(file: string): any {
  return JSON.parse(readFileSync(file, 'utf8'));
}
