import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalCloud, startLocalCloud } from '../../../local/cloud.ts';

// biome-ignore lint/suspicious/noExplicitAny: parts of templates
type Resources = Record<string, any>;

export interface SmallCloud {
  readonly cloud: LocalCloud;
  readonly stateDir: string;
  stop(): Promise<void>;
}

/** A cloud of one handwritten stack `app`; `functions`: source of `index.mjs` by name of its asset. */
export async function startSmallCloud(
  port: number,
  functions: Readonly<Record<string, string>>,
  resources: Resources,
): Promise<SmallCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'local-cloud-'));
  const assemblyDir = join(directory, 'cdk.out');
  writeAssembly(assemblyDir, functions, resources);
  const stateDir = join(directory, 'state');
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    const cloud = await startLocalCloud({ port, stateDir, repoDir: directory, assemblyDir });
    const stop = async () => {
      await cloud.stop();
      remove();
    };
    return { cloud, stateDir, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

/** A synthesized app of one stack. */
export function writeAssembly(
  directory: string,
  functions: Readonly<Record<string, string>>,
  Resources: Resources,
  more: { readonly stackName?: string; readonly Outputs?: Resources } = {},
) {
  mkdirSync(directory, { recursive: true });
  const files: Record<string, unknown> = {};
  for (const [name, source] of Object.entries(functions)) {
    mkdirSync(join(directory, `asset.${name}`), { recursive: true });
    writeFileSync(join(directory, `asset.${name}`, 'index.mjs'), source);
    files[name] = {
      source: { path: `asset.${name}`, packaging: 'zip' },
      destinations: { here: { bucketName: 'assets', objectKey: `${name}.zip` } },
    };
  }
  const write = (file: string, content: unknown) =>
    writeFileSync(join(directory, file), JSON.stringify(content));
  write('app.assets.json', { files });
  write('app.template.json', { Resources, Outputs: more.Outputs ?? {} });
  write('manifest.json', {
    artifacts: {
      'app.assets': { type: 'cdk:asset-manifest', properties: { file: 'app.assets.json' } },
      app: {
        type: 'aws:cloudformation:stack',
        dependencies: ['app.assets'],
        properties: { templateFile: 'app.template.json', stackName: more.stackName ?? 'app' },
      },
    },
  });
}

const getAtt = (id: string, attribute = 'Arn') => ({ 'Fn::GetAtt': [id, attribute] });

/** A role that `service` may assume. */
export function role(service: string, statements: unknown[]): unknown {
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      },
      Policies: [{ PolicyName: 'p', PolicyDocument: { Statement: statements } }],
    },
  };
}

/** A function of the asset of the same name in lower case, with its role. */
export function lambda(name: string, properties: object = {}, statements: unknown[] = []): Resources {
  return {
    [`${name}Role`]: role('lambda.amazonaws.com', [
      { Effect: 'Allow', Action: ['logs:CreateLogStream', 'logs:PutLogEvents'], Resource: '*' },
      ...statements,
    ]),
    [name]: {
      Type: 'AWS::Lambda::Function',
      Properties: {
        Code: { S3Bucket: 'assets', S3Key: `${name.toLowerCase()}.zip` },
        Handler: 'index.handler',
        Runtime: 'nodejs24.x',
        Role: getAtt(`${name}Role`),
        ...properties,
      },
    },
  };
}

/** Lets a service invoke a function. */
export function permission(functionName: string, service: string, sourceArn?: unknown): unknown {
  return {
    Type: 'AWS::Lambda::Permission',
    Properties: {
      Action: 'lambda:InvokeFunction',
      FunctionName: getAtt(functionName),
      Principal: `${service}.amazonaws.com`,
      ...(sourceArn ? { SourceArn: sourceArn } : {}),
    },
  };
}

/** An HTTP API `Api` whose `routeKeys` all go to one function. */
export function httpApi(functionName: string, routeKeys: readonly string[]): Resources {
  return {
    Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api', ProtocolType: 'HTTP' } },
    ApiStage: {
      Type: 'AWS::ApiGatewayV2::Stage',
      Properties: { ApiId: { Ref: 'Api' }, StageName: '$default', AutoDeploy: true },
    },
    Integration: {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: {
        ApiId: { Ref: 'Api' },
        IntegrationType: 'AWS_PROXY',
        IntegrationUri: getAtt(functionName),
        PayloadFormatVersion: '2.0',
      },
    },
    ...Object.fromEntries(
      routeKeys.map((RouteKey, index) => [
        `Route${index}`,
        {
          Type: 'AWS::ApiGatewayV2::Route',
          Properties: {
            ApiId: { Ref: 'Api' },
            RouteKey,
            AuthorizationType: 'AWS_IAM',
            Target: { 'Fn::Join': ['', ['integrations/', { Ref: 'Integration' }]] },
          },
        },
      ]),
    ),
    ApiPermission: permission(functionName, 'apigateway', {
      'Fn::Join': ['', ['arn:aws:execute-api:us-east-1:000000000000:', { Ref: 'Api' }, '/*/*']],
    }),
  };
}

/** A deadline instead of a guess how long something takes. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
