import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { parseConfig } from './config.ts';
import { addDeployment } from './deployment.ts';

export interface BuildOptions {
  /** Over that of cdk.json and CDK_CONTEXT_JSON. */
  readonly context?: Readonly<Record<string, unknown>>;
  readonly outdir?: string;
}

/**
 * The whole app: used by bin/app.ts, by the tests and, through bin/app.ts, by the local cloud.
 * Whoever has an app of their own takes `EtcdNannyStage` or `addDeployment` (lib/deployment.ts).
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
  addDeployment(app, config);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

function projectContext(): Record<string, unknown> {
  const text = readFileSync(path.resolve(import.meta.dirname, '../cdk.json'), 'utf8');
  return (JSON.parse(text) as { context: Record<string, unknown> }).context;
}
