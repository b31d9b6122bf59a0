// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Fn::Sub has the same placeholders
import { describe, expect, it } from 'vitest';
import type { ResourceProvider } from '../../local/aws/service.ts';
import { references, resolve, type Scope } from '../../local/cloudformation/intrinsics.ts';
import { provision } from '../../local/cloudformation/provision.ts';
import { ResourceRegistry } from '../../local/cloudformation/registry.ts';

const scope: Scope = {
  accountId: '111122223333',
  region: 'us-east-1',
  stackName: 'app',
  ref: (id) => `ref-${id}`,
  getAtt: (id, attribute) => `${id}.${attribute}`,
  importValue: (name) => `import-${name}`,
  stackOutput: (stack, output) => `${stack}/${output}`,
  condition: (name) => name === 'Yes',
  mapping: (map, top, second) => `${map}/${top}/${second}`,
};

describe('intrinsic functions', () => {
  const table: [string, unknown, unknown][] = [
    ['Ref of a resource', { Ref: 'Table' }, 'ref-Table'],
    [
      'Ref of pseudo parameters',
      [{ Ref: 'AWS::Region' }, { Ref: 'AWS::Partition' }, { Ref: 'AWS::URLSuffix' }],
      ['us-east-1', 'aws', 'amazonaws.com'],
    ],
    [
      'GetAtt as list and as text',
      [{ 'Fn::GetAtt': ['A', 'Arn'] }, { 'Fn::GetAtt': 'A.Endpoint.Port' }],
      ['A.Arn', 'A.Endpoint.Port'],
    ],
    [
      'Sub',
      { 'Fn::Sub': 'x-${AWS::AccountId}-${Table}-${Table.Arn}-${!Literal}' },
      'x-111122223333-ref-Table-Table.Arn-${Literal}',
    ],
    ['Sub with variables', { 'Fn::Sub': ['${Name}!', { Name: { Ref: 'A' } }] }, 'ref-A!'],
    [
      'Join, Split, Select nested',
      { 'Fn::Join': ['-', [{ 'Fn::Select': [1, { 'Fn::Split': [':', 'a:b:c'] }] }, 'z']] },
      'b-z',
    ],
    ['GetAZs', { 'Fn::Select': [2, { 'Fn::GetAZs': '' }] }, 'us-east-1c'],
    ['ImportValue', { 'Fn::ImportValue': { 'Fn::Sub': '${AWS::StackName}:x' } }, 'import-app:x'],
    [
      'GetStackOutput',
      { 'Fn::GetStackOutput': { StackName: 'other', OutputName: 'o', Region: { Ref: 'AWS::Region' } } },
      'other/o',
    ],
    ['If', { 'Fn::If': ['Yes', 'a', 'b'] }, 'a'],
    [
      'NoValue removes the property',
      { a: { 'Fn::If': ['No', 1, { Ref: 'AWS::NoValue' }] }, b: [{ Ref: 'AWS::NoValue' }, 2] },
      { b: [2] },
    ],
    ['FindInMap', { 'Fn::FindInMap': ['M', { Ref: 'AWS::Region' }, 'k'] }, 'M/us-east-1/k'],
    ['Base64', { 'Fn::Base64': 'hi' }, 'aGk='],
    ['Cidr', { 'Fn::Cidr': ['10.0.0.0/16', 3, 8] }, ['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24']],
    [
      'conditions',
      {
        'Fn::And': [
          { Condition: 'Yes' },
          { 'Fn::Not': [{ 'Fn::Equals': ['a', 'b'] }] },
          { 'Fn::Or': [{ Condition: 'No' }, { Condition: 'Yes' }] },
        ],
      },
      true,
    ],
    ['ToJsonString', { 'Fn::ToJsonString': { a: { Ref: 'A' } } }, '{"a":"ref-A"}'],
    [
      'the Condition of a policy statement stays',
      { Statement: [{ Condition: { StringEquals: { k: { Ref: 'A' } } } }] },
      { Statement: [{ Condition: { StringEquals: { k: 'ref-A' } } }] },
    ],
  ];
  it.each(table)('%s', (_name, value, expected) => {
    expect(resolve(value, scope)).toEqual(expected);
  });

  it('unknown ones fail by name', () => {
    expect(() => resolve({ 'Fn::Transform': {} }, scope)).toThrow('Fn::Transform');
  });

  it('finds what a value refers to', () => {
    expect([
      ...references({
        a: { Ref: 'A' },
        b: [{ 'Fn::GetAtt': ['B', 'Arn'] }],
        c: { 'Fn::Sub': '${C.Arn}${!D}${AWS::Region}' },
      }),
    ]).toEqual(['A', 'B', 'C', 'AWS::Region']);
  });
});

function run(stacks: { name: string; template: unknown }[]) {
  const order: string[] = [];
  const registry = new ResourceRegistry();
  const provider: ResourceProvider = {
    types: ['Test::Thing'],
    async provision({ logicalId, properties }) {
      order.push(logicalId);
      return {
        ref: `r-${logicalId}`,
        attributes: { Arn: `arn-${logicalId}`, Copy: JSON.stringify(properties) },
      };
    },
  };
  const assembly = { stacks: stacks as never, assets: new Map() };
  const options = { assembly, providers: [provider], registry, accountId: '1', region: 'us-east-1' };
  return { order, registry, result: provision(options) };
}
const thing = (Properties: unknown = {}, rest: object = {}) => ({ Type: 'Test::Thing', Properties, ...rest });

describe('standing up templates', () => {
  it('goes by references, DependsOn and stacks, and passes outputs between stacks', async () => {
    const { order, registry, result } = run([
      {
        name: 'base',
        template: {
          Resources: {
            Second: thing({ of: { 'Fn::GetAtt': ['First', 'Arn'] } }),
            Third: thing({}, { DependsOn: 'Second' }),
            First: thing(),
          },
          Outputs: {
            Plain: { Value: { Ref: 'First' } },
            Exported: { Value: { Ref: 'Third' }, Export: { Name: 'base:third' } },
          },
        },
      },
      {
        name: 'app',
        template: {
          Parameters: { Size: { Type: 'String', Default: 'big' } },
          Conditions: { Never: { 'Fn::Equals': ['a', 'b'] } },
          Resources: {
            Left: thing({}, { Condition: 'Never' }),
            User: thing({
              weak: { 'Fn::GetStackOutput': { StackName: 'base', OutputName: 'Plain' } },
              strong: { 'Fn::ImportValue': 'base:third' },
              size: { Ref: 'Size' },
            }),
          },
        },
      },
    ]);
    const { outputs } = await result;
    expect(order).toEqual(['First', 'Second', 'Third', 'User']);
    expect(outputs.get('base')?.get('Plain')).toBe('r-First');
    expect(registry.byRef('Test::Thing', 'r-User')?.properties).toEqual({
      weak: 'r-First',
      strong: 'r-Third',
      size: 'big',
    });
    expect(registry.byArn('arn-First')?.logicalId).toBe('First');
  });

  it('names all types that it cannot stand up, with their logical ids', async () => {
    const Resources = { Pool: { Type: 'AWS::Cognito::UserPool' }, Bus: { Type: 'AWS::Events::EventBus' } };
    const { order, result } = run([{ name: 'app', template: { Resources: { Ok: thing(), ...Resources } } }]);
    await expect(result).rejects.toThrow(
      /AWS::Cognito::UserPool \(app\/Pool\), AWS::Events::EventBus \(app\/Bus\)/,
    );
    expect(order).toEqual([]);
  });

  it('names the circle, the missing attribute, the missing name', async () => {
    const fails = (Resources: object) => run([{ name: 'app', template: { Resources } }]).result;
    await expect(fails({ A: thing({ b: { Ref: 'B' } }), B: thing({ a: { Ref: 'A' } }) })).rejects.toThrow(
      'A → B → A',
    );
    await expect(fails({ A: thing(), B: thing({ a: { 'Fn::GetAtt': ['A', 'Url'] } }) })).rejects.toThrow(
      'Test::Thing app/B cannot be stood up: Attribute Url of Test::Thing A is not known',
    );
    await expect(fails({ B: thing({ a: { Ref: 'Nobody' } }) })).rejects.toThrow('Ref of Nobody is not known');
  });
});
