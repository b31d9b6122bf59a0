import { AwsError, type Provisioned, type ResourceProvider } from '../aws/service.ts';
import type { Assembly, StackTemplate } from './assembly.ts';
import { references, resolve, type Scope } from './intrinsics.ts';
import type { ResourceRegistry } from './registry.ts';

// biome-ignore lint/suspicious/noExplicitAny: parts of a CloudFormation template
type Json = any;

export interface ProvisionOptions {
  readonly assembly: Assembly;
  readonly providers: readonly ResourceProvider[];
  readonly registry: ResourceRegistry;
  readonly accountId: string;
  readonly region: string;
}

export interface Outputs {
  /** stack → output name → value */
  readonly outputs: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  readonly exports: ReadonlyMap<string, unknown>;
}

/**
 * Stands up all resources of all stacks, each after everything it refers to.
 * @throws Error that names type and logical id of what it cannot stand up; all unknown types at once
 */
export async function provision(options: ProvisionOptions): Promise<Outputs> {
  refuseUnknownTypes(options);
  const exports = new Map<string, unknown>();
  const outputs = new Map<string, Map<string, unknown>>();
  for (const stack of options.assembly.stacks) {
    const { template } = stack;
    const done = new Map<string, Provisioned>();
    const scope = stackScope(options, stack, done, exports, outputs);
    for (const logicalId of inOrder(stack, scope)) {
      const resource = template.Resources[logicalId];
      done.set(logicalId, await provisionOne(options, stack.name, logicalId, resource, scope));
    }
    const values = new Map<string, unknown>();
    outputs.set(stack.name, values);
    for (const [name, output] of Object.entries((template.Outputs ?? {}) as Record<string, Json>)) {
      if (output.Condition && !scope.condition(output.Condition)) continue;
      const value = resolve(output.Value, scope);
      values.set(name, value);
      if (output.Export) exports.set(resolve(output.Export.Name, scope), value);
    }
  }
  return { outputs, exports };
}

function refuseUnknownTypes({ assembly, providers }: ProvisionOptions): void {
  const known = new Set(providers.flatMap(({ types }) => types));
  const unknown = assembly.stacks.flatMap(({ name, template }) =>
    Object.entries((template.Resources ?? {}) as Record<string, Json>)
      .filter(([, { Type }]) => !known.has(Type))
      .map(([logicalId, { Type }]) => `${Type} (${name}/${logicalId})`),
  );
  if (unknown.length > 0) {
    throw new Error(
      `The templates have resources that the local cloud cannot stand up: ${unknown.join(', ')}. Add a provider in local/services, or, if nothing depends on its behaviour, the type to local/cloudformation/network.ts.`,
    );
  }
}

async function provisionOne(
  options: ProvisionOptions,
  stack: string,
  logicalId: string,
  resource: Json,
  scope: Scope,
): Promise<Provisioned> {
  const type: string = resource.Type;
  try {
    const properties = resolve(resource.Properties ?? {}, scope);
    const item = {
      type,
      stack,
      logicalId,
      properties,
      written: resource.Properties,
      metadata: resource.Metadata,
    };
    let result: Provisioned | undefined;
    for (const provider of options.providers) {
      if (!provider.types.includes(type)) continue;
      const made = await provider.provision(item);
      result = { ref: result?.ref ?? made.ref, attributes: { ...made.attributes, ...result?.attributes } };
    }
    if (!result) throw new Error('no provider');
    options.registry.add({ ...item, ...result });
    return result;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof AwsError ? `${error.code}: ` : '';
    throw new Error(`${type} ${stack}/${logicalId} cannot be stood up: ${code}${message}`, { cause: error });
  }
}

/** Resources whose condition holds, dependencies first. @throws Error for a cycle */
export function inOrder(stack: StackTemplate, scope: Scope): string[] {
  const resources: Record<string, Json> = stack.template.Resources ?? {};
  const wanted = (id: string): boolean => {
    const resource = resources[id];
    return resource !== undefined && (!resource.Condition || scope.condition(resource.Condition));
  };
  const order: string[] = [];
  const state = new Map<string, 'visiting' | 'done'>();
  const visit = (id: string, trail: readonly string[]): void => {
    if (!wanted(id) || state.get(id) === 'done') return;
    if (state.get(id) === 'visiting') {
      throw new Error(
        `Stack ${stack.name}: resources depend on each other in a circle: ${[...trail, id].join(' → ')}.`,
      );
    }
    state.set(id, 'visiting');
    const { DependsOn = [], Properties } = resources[id];
    for (const next of [DependsOn].flat().concat([...references(Properties)])) visit(next, [...trail, id]);
    state.set(id, 'done');
    order.push(id);
  };
  for (const id of Object.keys(resources)) visit(id, []);
  return order;
}

export function stackScope(
  { accountId, region }: Pick<ProvisionOptions, 'accountId' | 'region'>,
  { name: stackName, template }: StackTemplate,
  done: ReadonlyMap<string, Provisioned>,
  exports: ReadonlyMap<string, unknown>,
  outputs: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
): Scope {
  const found = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw new Error(`${what} is not known in stack ${stackName}.`);
    return value;
  };
  const scope: Scope = {
    accountId,
    region,
    stackName,
    ref: (id) => found(done.get(id)?.ref ?? template.Parameters?.[id]?.Default, `Ref of ${id}`),
    getAtt: (id, attribute) =>
      found(
        done.get(id)?.attributes?.[attribute],
        `Attribute ${attribute} of ${template.Resources?.[id]?.Type ?? ''} ${id}`,
      ),
    importValue: (name) => found(exports.get(name), `Export ${name}`),
    stackOutput: (stack, output) =>
      found(outputs.get(stack)?.get(output), `Output ${output} of stack ${stack}`),
    condition: (name) => Boolean(resolve(found(template.Conditions?.[name], `Condition ${name}`), scope)),
    mapping: (map, top, second) =>
      found(template.Mappings?.[map]?.[top]?.[second], `Mapping ${map}.${top}.${second}`),
  };
  return scope;
}
