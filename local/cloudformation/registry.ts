import type { RegisteredResource, Registry } from '../aws/service.ts';

export class ResourceRegistry implements Registry {
  readonly #resources: RegisteredResource[] = [];

  add(resource: RegisteredResource): void {
    this.#resources.push(resource);
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
}
