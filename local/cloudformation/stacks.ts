import type { CloudContext, ResourceProvider } from '../aws/service.ts';
import type { Invoker } from '../services/lambda/index.ts';
import type { Assembly } from './assembly.ts';
import { CustomResources } from './custom-resources.ts';
import { Deployer } from './deployer.ts';
import { OwnCustomResources } from './own-custom-resources.ts';
import type { Outputs } from './provision.ts';
import type { ResourceRegistry } from './registry.ts';
import { ResourceHand } from './resource-hand.ts';
import { type Stack, StackStore } from './stack-state.ts';

/** CloudFormation, as far as `nanny local deploy` and the custom resources of the cloud's own stacks need it. */
export interface Stacks {
  list(): Stack[];
  /** @throws AwsError ValidationError before anything is done */
  begin(directory: string, only?: string): { names: string[]; end: Promise<void> };
  /** Of one of the cloud's own stacks it only asks whether it could go. @throws AwsError ValidationError */
  beginDestroy(name: string): { end: Promise<void>; rehearsal: boolean };
}

export interface StackParts {
  readonly context: CloudContext;
  readonly functions: Pick<Invoker, 'invokeLater'>;
  readonly assembly: Assembly;
  readonly registry: ResourceRegistry;
  /** Where functions find their code. */
  readonly assets: Map<string, string>;
}

/** In the order of a start: `provider` for the cloud's own stacks, `standUp` after them, `bring` once functions run. */
export function createStacks({ context, functions, assembly, registry, assets }: StackParts) {
  const store = new StackStore(context.stateDir);
  const custom = new CustomResources(context, functions);
  const own = new OwnCustomResources({ store, custom });
  return {
    provider: own.provider(assembly),
    async standUp(providers: readonly ResourceProvider[], { outputs, exports }: Outputs): Promise<Stacks> {
      const { accountId, region } = context;
      const hand = new ResourceHand({ providers, registry, custom });
      const now = () => new Date();
      const deployer = new Deployer({ accountId, region, store, hand, outputs, exports, assets, now });
      await deployer.standUp();
      return {
        list: () => deployer.stacks(),
        begin: (directory, only) => deployer.begin(directory, only),
        beginDestroy(name) {
          if (!outputs.has(name)) return { ...deployer.beginDestroy(name), rehearsal: false };
          const end = own.rehearseDelete(name);
          end.catch(() => {});
          return { end, rehearsal: true };
        },
      };
    },
    bring: () => own.bring(),
  };
}
