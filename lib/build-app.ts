import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App, type AppProps, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { parseConfig } from './config.ts';
import { type BuiltCell, ControlPlaneStack } from './control-plane-stack.ts';
import { resolveEtcdVersions } from './etcd-versions.ts';
import { FleetStack } from './fleet-stack.ts';
import { NetworkStack } from './network-stack.ts';
import { StateStack } from './state-stack.ts';

export interface BuildOptions {
  /** Over that of cdk.json and CDK_CONTEXT_JSON. */
  readonly context?: Readonly<Record<string, unknown>>;
  readonly outdir?: string;
}

/**
 * The whole app: used by bin/app.ts, by the tests and, through bin/app.ts, by the local cloud.
 * Stacks build on those before them: state and network, fleet, control plane.
 * @throws ConfigError
 */
export function buildApp(options: BuildOptions = {}): App {
  // The CLI passes cdk.json's context by itself; without the CLI the feature flags must not be lost.
  const props: AppProps = {
    context: projectContext(),
    ...(options.context ? { postCliContext: { ...options.context } } : {}),
    ...(options.outdir ? { outdir: options.outdir } : {}),
  };
  const app = new App(props);
  const config = parseConfig(app.node.getAllContext());
  const etcdVersions = resolveEtcdVersions(config);
  const name = (part: string) => `${config.deploymentName}-${part}`;

  const state = new StateStack(app, name('state'), { config });
  const cells = config.cells.map((cell): BuiltCell => {
    const network = new NetworkStack(app, name(`${cell.id}-network`), { config, cell });
    const fleet = new FleetStack(app, name(`${cell.id}-fleet`), { config, cell, network, state });
    return { id: cell.id, network, fleet };
  });
  new ControlPlaneStack(app, name('control-plane'), { config, etcdVersions, state, cells });

  Tags.of(app).add('etcd-nanny:deployment', config.deploymentName);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

function projectContext(): Record<string, unknown> {
  const text = readFileSync(path.resolve(import.meta.dirname, '../cdk.json'), 'utf8');
  return (JSON.parse(text) as { context: Record<string, unknown> }).context;
}
