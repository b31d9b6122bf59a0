import { isDeepStrictEqual } from 'node:util';
import type { ResourceProvider } from '../aws/service.ts';
import type { CustomResources } from './custom-resources.ts';
import { isCustom } from './custom-resources.ts';
import type { ResourceRegistry } from './registry.ts';
import type { Properties, StackResource } from './stack-state.ts';

export interface Wanted {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: Properties;
  readonly deletionPolicy?: string;
  readonly updateReplacePolicy?: string;
  // biome-ignore lint/suspicious/noExplicitAny: as in the template
  readonly metadata?: any;
}

/** Types that stacks may have which are deployed to a running cloud; all others are refused before anything is done. */
const known = new Set([
  'AWS::CDK::Metadata',
  'AWS::Events::Rule',
  'AWS::IAM::ManagedPolicy',
  'AWS::IAM::Policy',
  'AWS::IAM::Role',
  'AWS::Lambda::Function',
  'AWS::Lambda::Permission',
  'AWS::Logs::LogGroup',
  'AWS::SecretsManager::Secret',
]);

export const isDeployable = (type: string): boolean => known.has(type) || isCustom(type);
export const deployableTypes = [...known, 'Custom::*', 'AWS::CloudFormation::CustomResource'];

export const isSame = (one: StackResource, other: Wanted): boolean =>
  one.type === other.type && isDeepStrictEqual(one.properties, other.properties);

/** Makes, changes and removes one resource of a stack. */
export class ResourceHand {
  readonly #providers: readonly ResourceProvider[];
  readonly #registry: ResourceRegistry;
  readonly #custom: CustomResources;

  constructor(options: {
    providers: readonly ResourceProvider[];
    registry: ResourceRegistry;
    custom: CustomResources;
  }) {
    this.#providers = options.providers;
    this.#registry = options.registry;
    this.#custom = options.custom;
  }

  /** Makes it, or changes `before` to it. A custom resource decides by its physical id whether it was replaced. */
  async bring(stack: string, wanted: Wanted, before: StackResource | undefined): Promise<StackResource> {
    const { logicalId, type, properties, deletionPolicy, updateReplacePolicy } = wanted;
    const common = { logicalId, type, properties, deletionPolicy, updateReplacePolicy };
    if (isCustom(type)) {
      const { physicalId, data } = await this.#custom.send(
        before
          ? {
              requestType: 'Update',
              stack,
              logicalId,
              type,
              properties,
              physicalId: before.ref,
              oldProperties: before.properties,
            }
          : { requestType: 'Create', stack, logicalId, type, properties },
      );
      return { ...common, ref: physicalId, attributes: data };
    }
    return { ...common, ...(await this.standUp(stack, wanted)) };
  }

  /** For all but custom resources: the same properties again change nothing. */
  async standUp(stack: string, { logicalId, type, properties, metadata }: Wanted) {
    const item = { type, stack, logicalId, properties, metadata };
    let made: { ref: string; attributes: Record<string, string> } | undefined;
    for (const provider of this.#of(type)) {
      const { ref, attributes } = await provider.provision(item);
      made = { ref: made?.ref ?? ref, attributes: { ...attributes, ...made?.attributes } };
    }
    if (!made) throw new Error(`The local cloud cannot stand up ${type}.`);
    this.#registry.add({ ...item, ...made });
    return made;
  }

  async remove(stack: string, resource: StackResource): Promise<void> {
    const { logicalId, type, properties, ref } = resource;
    if (isCustom(type)) {
      await this.#custom.send({ requestType: 'Delete', stack, logicalId, type, properties, physicalId: ref });
      return;
    }
    for (const provider of this.#of(type)) await provider.remove?.({ ...resource, stack });
    this.#registry.remove(stack, logicalId);
  }

  #of(type: string): ResourceProvider[] {
    return this.#providers.filter(({ types }) => types.includes(type));
  }
}
