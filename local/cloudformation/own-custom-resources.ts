import { isDeepStrictEqual } from 'node:util';
import { AwsError, type ResourceProvider, type TemplateResource } from '../aws/service.ts';
import type { Assembly } from './assembly.ts';
import { type CustomResources, isCustom } from './custom-resources.ts';
import { metadataTypes } from './network.ts';
import type { StackStore } from './stack-state.ts';

/**
 * Custom resources of the cloud's own stacks. Their functions can only run once everything stands, so nothing may refer
 * to what they give.
 */
export class OwnCustomResources {
  readonly #items: TemplateResource[] = [];
  readonly #store: StackStore;
  readonly #custom: CustomResources;

  constructor(options: { store: StackStore; custom: CustomResources }) {
    this.#store = options.store;
    this.#custom = options.custom;
  }

  provider(assembly: Assembly): ResourceProvider {
    const types = assembly.stacks.flatMap(({ template }) =>
      Object.values((template.Resources ?? {}) as Record<string, { Type: string }>).map(({ Type }) => Type),
    );
    return {
      types: [...new Set(types)].filter((type) => isCustom(type) && !(type in metadataTypes)),
      provision: async (resource) => {
        this.#items.push(resource);
        return { ref: `${resource.logicalId}-not-known-at-start` };
      },
    };
  }

  /** Once all functions run: as a deploy would, only what is new or has changed. @throws Error */
  async bring(): Promise<void> {
    for (const { type, stack, logicalId, properties } of this.#items) {
      const key = `${stack}/${logicalId}`;
      const before = this.#store.own[key];
      if (before && isDeepStrictEqual(before.properties, properties)) continue;
      const { physicalId } = await this.#custom.send({
        requestType: before ? 'Update' : 'Create',
        stack,
        logicalId,
        type,
        properties,
        ...(before ? { physicalId: before.ref, oldProperties: before.properties } : {}),
      });
      this.#store.own[key] = { properties, ref: physicalId };
      this.#store.save();
    }
  }

  has(stack: string): boolean {
    return this.#items.some((item) => item.stack === stack);
  }

  /**
   * What a deletion of one of the cloud's own stacks would do first: asks its custom resources. Nothing is deleted; the
   * stack itself goes with the state of the cloud.
   * @throws AwsError when one of them refuses
   */
  async rehearseDelete(stack: string): Promise<void> {
    for (const { type, logicalId, properties } of this.#items
      .filter((item) => item.stack === stack)
      .toReversed()) {
      const { ref } = this.#store.own[`${stack}/${logicalId}`]!;
      const request = { stack, logicalId, type, properties };
      try {
        await this.#custom.send({ ...request, requestType: 'Delete', physicalId: ref });
      } catch (error) {
        throw new AwsError(
          'DeletionFailed',
          `Stack ${stack} would not be deleted: ${(error as Error).message}`,
        );
      }
      const { physicalId } = await this.#custom.send({ ...request, requestType: 'Create' });
      this.#store.own[`${stack}/${logicalId}`] = { properties, ref: physicalId };
      this.#store.save();
    }
  }
}
