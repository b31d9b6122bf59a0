/** What the intrinsic functions of one stack look up. Each throws when it knows nothing of the name. */
export interface Scope {
  readonly accountId: string;
  readonly region: string;
  readonly stackName: string;
  /** `Ref` of a resource or a parameter. */
  ref(logicalId: string): unknown;
  getAtt(logicalId: string, attribute: string): unknown;
  importValue(exportName: string): unknown;
  /** Value of an output of another stack. */
  stackOutput(stackName: string, outputName: string): unknown;
  condition(name: string): boolean;
  mapping(map: string, top: string, second: string): unknown;
}

/** Stands for a property that is to be left out (`AWS::NoValue`). */
const noValue = Symbol('AWS::NoValue');

// biome-ignore lint/suspicious/noExplicitAny: any JSON of a template
type Json = any;

/** The value with all intrinsic functions resolved. @throws Error that names the function it cannot resolve */
export function resolve(value: Json, scope: Scope): Json {
  if (Array.isArray(value))
    return value.map((item) => resolve(item, scope)).filter((item) => item !== noValue);
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value);
  const [name] = keys;
  if (keys.length === 1 && name !== undefined) {
    const intrinsic = intrinsics[name];
    if (intrinsic) return intrinsic(value[name], scope);
    if (name.startsWith('Fn::')) throw new Error(`The local cloud does not know the intrinsic ${name}.`);
  }
  const entries = Object.entries(value).map(([key, item]) => [key, resolve(item, scope)] as const);
  return Object.fromEntries(entries.filter(([, item]) => item !== noValue));
}

const intrinsics: Record<string, (argument: Json, scope: Scope) => Json> = {
  Ref: (name, scope) => pseudo(name, scope) ?? scope.ref(name),
  'Fn::GetAtt': (argument, scope) => {
    const [logicalId, ...attribute] = typeof argument === 'string' ? argument.split('.') : argument;
    return scope.getAtt(logicalId, resolve(attribute.join('.'), scope));
  },
  'Fn::Sub': (argument, scope) => {
    const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
    return (text as string).replace(/\$\{(!?)([^}]+)\}/g, (_all, literal: string, name: string) => {
      if (literal) return `\${${name}}`;
      if (name in variables) return String(resolve(variables[name], scope));
      return String(
        name.includes('.') && !name.startsWith('AWS::')
          ? intrinsics['Fn::GetAtt']!(name, scope)
          : intrinsics.Ref!(name, scope),
      );
    });
  },
  'Fn::Join': ([separator, parts], scope) => resolve(parts, scope).join(separator),
  'Fn::Select': ([index, list], scope) => {
    const items = resolve(list, scope);
    const item = items[Number(resolve(index, scope))];
    if (item === undefined) throw new Error(`Fn::Select: no element ${index} in ${JSON.stringify(items)}.`);
    return item;
  },
  'Fn::Split': ([separator, text], scope) => String(resolve(text, scope)).split(separator),
  'Fn::GetAZs': (region, scope) => {
    const name = resolve(region, scope) || scope.region;
    return ['a', 'b', 'c'].map((letter) => `${name}${letter}`);
  },
  'Fn::ImportValue': (name, scope) => scope.importValue(resolve(name, scope)),
  'Fn::GetStackOutput': ({ StackName, OutputName }, scope) =>
    scope.stackOutput(resolve(StackName, scope), resolve(OutputName, scope)),
  'Fn::If': ([condition, yes, no], scope) => resolve(scope.condition(condition) ? yes : no, scope),
  'Fn::FindInMap': ([map, top, second], scope) =>
    scope.mapping(resolve(map, scope), resolve(top, scope), resolve(second, scope)),
  'Fn::Base64': (text, scope) => Buffer.from(String(resolve(text, scope))).toString('base64'),
  'Fn::Cidr': (argument, scope) => {
    const [block, count, hostBits] = resolve(argument, scope);
    return cidr(block, Number(count), Number(hostBits));
  },
  'Fn::ToJsonString': (value, scope) => JSON.stringify(resolve(value, scope)),
  'Fn::Length': (value, scope) => resolve(value, scope).length,
  Condition: (name, scope) => (typeof name === 'string' ? scope.condition(name) : noCondition(name, scope)),
  'Fn::Equals': ([left, right], scope) =>
    JSON.stringify(resolve(left, scope)) === JSON.stringify(resolve(right, scope)),
  'Fn::Not': ([value], scope) => !resolve(value, scope),
  'Fn::And': (values, scope) => values.every((value: Json) => resolve(value, scope)),
  'Fn::Or': (values, scope) => values.some((value: Json) => resolve(value, scope)),
};

/** An object whose only member is `Condition` may also be part of a policy statement. */
function noCondition(value: Json, scope: Scope): Json {
  return { Condition: resolve(value, scope) };
}

function pseudo(name: string, scope: Scope): Json {
  switch (name) {
    case 'AWS::AccountId':
      return scope.accountId;
    case 'AWS::Region':
      return scope.region;
    case 'AWS::Partition':
      return 'aws';
    case 'AWS::URLSuffix':
      return 'amazonaws.com';
    case 'AWS::StackName':
      return scope.stackName;
    case 'AWS::StackId':
      return `arn:aws:cloudformation:${scope.region}:${scope.accountId}:stack/${scope.stackName}/local`;
    case 'AWS::NotificationARNs':
      return [];
    case 'AWS::NoValue':
      return noValue;
    default:
      return undefined;
  }
}

/** The first `count` blocks of `2^hostBits` addresses. */
function cidr(block: string, count: number, hostBits: number): string[] {
  const [address = ''] = block.split('/');
  const base = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return Array.from({ length: count }, (_, index) => {
    const start = base + index * 2 ** hostBits;
    const parts = [24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256);
    return `${parts.join('.')}/${32 - hostBits}`;
  });
}

/** Logical ids that a value refers to, whether or not they are resources. */
export function references(value: Json, found = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const item of value) references(item, found);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value) as [string, Json][]) {
      if (key === 'Ref' && typeof item === 'string') found.add(item);
      else if (key === 'Fn::GetAtt') found.add(typeof item === 'string' ? item.split('.')[0]! : item[0]);
      else if (key === 'Fn::Sub') {
        const text: string = Array.isArray(item) ? item[0] : item;
        for (const [, name] of text.matchAll(/\$\{([^!}.]+)[^}]*\}/g)) found.add(name!);
      }
      references(item, found);
    }
  }
  return found;
}
