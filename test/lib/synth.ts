import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { App } from 'aws-cdk-lib';
import { buildApp } from '../../lib/build-app.ts';

/** Intrinsic functions as text. */
export { readable as flat } from '../../local/cloudformation/readable.ts';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation as it is
export type Json = any;

export interface Resource {
  readonly logicalId: string;
  readonly Type: string;
  readonly Properties: Json;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

export interface Synthesized {
  readonly templates: Readonly<Record<string, Json>>;
  readonly report: Json;
  /** Docker images that a deploy builds. */
  readonly images: Json[];
  /** Resources of one type over all stacks. */
  of(type: string): Resource[];
}

/** What the local cloud asks for, and the fastest: no Docker, no bundling. */
export const localContext = {
  nodeImageUri: 'etcd-nanny/node-image:local',
  vpcCidr: '127.43.0.0/16',
  ephemeral: true,
  etcdVersions: ['3.5.35', '3.6.16'],
};

/** The other extreme: everything kept, named zones, clients from outside, an image in ECR. */
export const lastingContext = {
  deploymentName: 'prod',
  zones: 'eu-west-1a,eu-west-1b,eu-west-1c',
  clientCidrs: '10.9.0.0/16',
  nodeImageUri: '111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/nanny:7',
};

/** Everything that can be more than one, or other than usual, at once. */
export const fullContext = {
  ...lastingContext,
  cells: 3,
  egress: 'nat',
  jwt: { issuer: 'https://login.example.com/', audience: ['etcd-nanny'] },
};

const known = new Map<string, Promise<Synthesized>>();

/** Builds the real app, each variant once. Throws when cdk-nag or CloudFormation's own rules object. */
export function synthesize(context: Record<string, unknown>): Promise<Synthesized> {
  const key = JSON.stringify(context);
  const found = known.get(key) ?? synthesizeAnew(context);
  known.set(key, found);
  return found;
}

export async function synthesizeAnew(
  context: Record<string, unknown>,
  change: (app: App) => unknown = () => {},
): Promise<Synthesized> {
  const outdir = await mkdtemp(path.join(tmpdir(), 'etcd-nanny-synth-'));
  try {
    const app = buildApp({ context: { ...context, 'aws:cdk:bundling-stacks': [] }, outdir });
    change(app);
    app.synth();
    const suffix = '.template.json';
    const read = (file: string) => JSON.parse(readFileSync(path.join(outdir, file), 'utf8'));
    const templates = Object.fromEntries(
      readdirSync(outdir)
        .filter((file) => file.endsWith(suffix))
        .map((file) => [file.slice(0, -suffix.length), read(file)]),
    );
    const all = Object.values(templates).flatMap((template: Json) =>
      Object.entries<Json>(template.Resources).map(([logicalId, resource]) => ({ logicalId, ...resource })),
    );
    const images = readdirSync(outdir)
      .filter((file) => file.endsWith('.assets.json'))
      .flatMap((file) => Object.values(read(file).dockerImages ?? {}));
    return {
      templates,
      images,
      report: read('validation-report.json'),
      of: (type) => all.filter((resource) => resource.Type === type),
    };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}
