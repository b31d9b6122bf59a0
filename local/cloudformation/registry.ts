import type { RegisteredResource, Registry } from '../aws/service.ts';

export class ResourceRegistry implements Registry {
  readonly #resources: RegisteredResource[] = [];

  /** In the place of what the same template resource was before. */
  add(resource: RegisteredResource): void {
    const index = this.#indexOf(resource.stack, resource.logicalId);
    if (index < 0) this.#resources.push(resource);
    else this.#resources[index] = resource;
  }

  remove(stack: string, logicalId: string): void {
    const index = this.#indexOf(stack, logicalId);
    if (index >= 0) this.#resources.splice(index, 1);
  }

  resourcesOfType(type: string): RegisteredResource[] {
    return this.#resources.filter((resource) => resource.type === type);
  }

  byRef(type: string, ref: string): RegisteredResource | undefined {
    return this.#resources.find((resource) => resource.type === type && resource.ref === ref);
  }

  byArn(arn: string): RegisteredResource | undefined {
    return this.#resources.find((resource) => resource.attributes?.Arn === arn || resource.ref === arn);
  }

  #indexOf(stack: string, logicalId: string): number {
    return this.#resources.findIndex((other) => other.stack === stack && other.logicalId === logicalId);
  }
}
