import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Stack, Stage, type StageProps, Tags } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { type Config, parseConfig, type Settings } from './config.ts';
import { type BuiltCell, ControlPlaneStack } from './control-plane-stack.ts';
import { resolveEtcdVersions } from './etcd-versions.ts';
import { FleetStack } from './fleet-stack.ts';
import { NetworkStack } from './network-stack.ts';
import { StateStack } from './state-stack.ts';

export interface Deployment {
  readonly state: StateStack;
  readonly cells: readonly BuiltCell[];
  readonly controlPlane: ControlPlaneStack;
}

/**
 * All stacks of one deployment, in an app or in a stage of it. Stacks build on those before them: state and network,
 * fleet, control plane.
 */
export function addDeployment(scope: Construct, config: Config): Deployment {
  const etcdVersions = resolveEtcdVersions(config);
  const name = (part: string) => `${config.deploymentName}-${part}`;

  const state = new StateStack(scope, name('state'), { config });
  const cells = config.cells.map((cell): BuiltCell => {
    const network = new NetworkStack(scope, name(`${cell.id}-network`), { config, cell });
    const fleet = new FleetStack(scope, name(`${cell.id}-fleet`), { config, cell, network });
    return { id: cell.id, network, fleet };
  });
  const controlPlane = new ControlPlaneStack(scope, name('control-plane'), {
    config,
    etcdVersions,
    state,
    cells,
  });

  const stacks = [state, ...cells.flatMap(({ network, fleet }) => [network, fleet]), controlPlane];
  for (const stack of stacks) tag(stack, config);
  return { state, cells, controlPlane };
}

/** Nothing here moves unless the release does: a tag with a time or a commit would make every `cdk diff` a long one. */
function tag(stack: Stack, config: Config): void {
  const tags = Tags.of(stack);
  tags.add('etcd-nanny:project', 'etcd-nanny');
  tags.add('etcd-nanny:deployment', config.deploymentName);
  tags.add('etcd-nanny:stack', stack.node.id);
  tags.add('etcd-nanny:version', projectVersion());
}

function projectVersion(): string {
  const text = readFileSync(path.resolve(import.meta.dirname, '../package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

export interface EtcdNannyStageProps extends StageProps {
  /** The same keys as in cdk context (lib/config.ts). @throws ConfigError */
  readonly settings?: Settings;
}

/** A whole deployment as one stage, for pipelines and for apps that deploy it more than once. */
export class EtcdNannyStage extends Stage {
  readonly deployment: Deployment;

  constructor(scope: Construct, id: string, { settings, ...props }: EtcdNannyStageProps = {}) {
    super(scope, id, props);
    this.deployment = addDeployment(this, parseConfig(settings ?? {}));
  }
}
