import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { physicalName } from '../../aws/names.ts';
import type {
  CloudContext,
  Provisioned,
  QueueAccess,
  ServiceModule,
  TemplateResource,
} from '../../aws/service.ts';
import type { CredentialStore } from '../../iam/credentials.ts';
import type { Iam } from '../../iam/iam.ts';
import type { CloudWatch } from '../cloudwatch/index.ts';
import { checkMapping, type EventSourceMapping, mappingOf, pollQueue } from './event-source.ts';
import { LocalFunction } from './function.ts';
import { invokeService } from './invoke-service.ts';
import type { InvokeResult } from './worker.ts';

/** How other services of this cloud invoke functions. */
export interface Invoker {
  /**
   * @throws AwsError AccessDeniedException when no AWS::Lambda::Permission lets the service in
   * @throws ThrottledError
   */
  invoke(
    functionArn: string,
    event: unknown,
    by: { service: string; sourceArn: string },
  ): Promise<InvokeResult>;
  /** As InvocationType Event does it: comes back at once, and tries a function that fails twice more. */
  invokeLater(functionArn: string, event: unknown): void;
}

export interface LambdaDeps {
  readonly iam: Iam;
  readonly credentials: CredentialStore;
  readonly assets: ReadonlyMap<string, string>;
  readonly queues: () => QueueAccess;
  readonly retryAfterSeconds: () => number | undefined;
  /** Whether somebody has turned off what brings the function of this name its messages. */
  readonly isHeld: (functionName: string) => boolean;
  /** Gets the lines that functions write and the metrics of their invocations. */
  readonly watch: Pick<CloudWatch, 'line' | 'count'>;
}

const credentialLifeSeconds = 12 * 3600;

export function createLambda(context: CloudContext, deps: LambdaDeps): ServiceModule & Invoker {
  const functions = new Map<string, LocalFunction>();
  const roles = new Map<string, string>();
  const inVpc = new Set<string>();
  const logging = new Map<string, boolean>();
  const mappings: EventSourceMapping[] = [];
  const stopping = new AbortController();
  const pollers: Promise<void>[] = [];
  const logDir = join(context.stateDir, 'logs');
  mkdirSync(logDir, { recursive: true });

  const functionOf = (nameOrArn: string): LocalFunction => {
    const found = [...functions.values()].find(
      ({ config }) => config.name === nameOrArn || config.arn === nameOrArn,
    );
    if (!found) throw new Error(`There is no function ${nameOrArn}.`);
    return found;
  };

  /** @throws AwsError AccessDeniedException */
  function requireOfRole(functionArn: string, action: string, resource: string): void {
    context.authorize(roles.get(functionArn) ?? '', { action, resource });
  }

  /** Without the permission the lines are lost, as on AWS; here the log of the cloud says so. */
  function mayLog(functionArn: string): boolean {
    let may = logging.get(functionArn);
    if (may === undefined) {
      const group = functionOf(functionArn).config.logGroup;
      const resource = `arn:aws:logs:${context.region}:${context.accountId}:log-group:${group}:*`;
      try {
        for (const action of ['logs:CreateLogStream', 'logs:PutLogEvents'])
          requireOfRole(functionArn, action, resource);
        may = true;
      } catch (error) {
        context.log('logs of a function are lost', { error: String(error) });
        may = false;
      }
      logging.set(functionArn, may);
    }
    return may;
  }

  function provisionFunction(resource: TemplateResource): Provisioned {
    const { properties } = resource;
    const name: string = properties.FunctionName ?? physicalName(resource);
    const arn = `arn:aws:lambda:${context.region}:${context.accountId}:function:${name}`;
    const directory = deps.assets.get(properties.Code?.S3Key ?? '');
    if (!directory) throw new Error('its code is no file asset of the synthesized app');
    const [file, exportName] = String(properties.Handler).split('.') as [string, string];
    const memoryMiB = properties.MemorySize ?? 128;
    const logGroup = properties.LoggingConfig?.LogGroup ?? `/aws/lambda/${name}`;
    const variables = Object.entries((properties.Environment?.Variables ?? {}) as Record<string, unknown>);
    const roleArn: string = properties.Role;
    deps.iam.requireTrust(roleArn, 'lambda.amazonaws.com');
    const logFile = join(logDir, `${name}.log`);
    const created = new LocalFunction(
      {
        name,
        arn,
        boot: {
          file: handlerFile(directory, file),
          exportName,
          compileCache: join(context.stateDir, 'compile-cache'),
        },
        timeoutMs: (properties.Timeout ?? 3) * 1000,
        memoryMiB,
        reservedConcurrency: properties.ReservedConcurrentExecutions,
        logGroup,
        environment: {
          ...Object.fromEntries(variables.map(([key, value]) => [key, context.rewriteHosts(String(value))])),
          AWS_REGION: context.region,
          AWS_DEFAULT_REGION: context.region,
          AWS_ENDPOINT_URL: context.endpointUrl,
          AWS_EXECUTION_ENV: `AWS_Lambda_${properties.Runtime}`,
          AWS_LAMBDA_FUNCTION_NAME: name,
          AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMiB),
          AWS_LAMBDA_LOG_GROUP_NAME: logGroup,
          AWS_LAMBDA_LOG_STREAM_NAME: 'local',
          LAMBDA_TASK_ROOT: directory,
          _HANDLER: properties.Handler,
          TZ: ':UTC',
          LANG: 'en_US.UTF-8',
        },
      },
      {
        credentials: (handle) =>
          deps.credentials.issue(roleArn, name, credentialLifeSeconds, { worker: handle }),
        revoke: (accessKeyId) => deps.credentials.revoke(accessKeyId),
        onLine: (line, requestId) => {
          if (!mayLog(arn)) return;
          appendFileSync(logFile, `${logLine(line, requestId)}\n`);
          deps.watch.line(line);
        },
        onEnd: (ok) => deps.watch.count('AWS/Lambda', 'Errors', { FunctionName: name }, ok ? 0 : 1),
      },
    );
    if (properties.VpcConfig?.SubnetIds?.length) inVpc.add(arn);
    // What runs in the old one ends as it began.
    void functions.get(arn)?.retire();
    logging.delete(arn);
    functions.set(arn, created);
    roles.set(arn, roleArn);
    return { ref: name, attributes: { Arn: arn } };
  }

  function provisionPermission(resource: TemplateResource): Provisioned {
    const { FunctionName, Principal, Action, SourceArn, SourceAccount } = resource.properties;
    const sid = physicalName(resource);
    const condition = {
      ...(SourceArn ? { ArnLike: { 'aws:SourceArn': SourceArn } } : {}),
      ...(SourceAccount ? { StringEquals: { 'aws:SourceAccount': SourceAccount } } : {}),
    };
    const { arn } = functionOf(FunctionName).config;
    deps.iam.removeResourceStatement(arn, sid);
    deps.iam.setResourcePolicy(arn, {
      Statement: [
        {
          Sid: sid,
          Effect: 'Allow',
          Principal: { Service: Principal },
          Action,
          Resource: arn,
          Condition: condition,
        },
      ],
    });
    return { ref: sid };
  }

  function invokeLater(functionArn: string, event: unknown): void {
    const target = functionOf(functionArn);
    void (async () => {
      for (const waitMs of [1000, 2000, undefined]) {
        const result = await target.invoke(event).catch(() => ({ ok: false }) as const);
        if (result.ok || waitMs === undefined || stopping.signal.aborted) return;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    })();
  }

  return {
    services: [invokeService({ context, functionArnOf: (name) => functionOf(name).config.arn, invokeLater })],
    providers: [
      {
        types: ['AWS::Lambda::Function'],
        provision: async (resource) => provisionFunction(resource),
        remove: async ({ attributes }) => {
          const arn = attributes?.Arn ?? '';
          void functions.get(arn)?.retire();
          functions.delete(arn);
          roles.delete(arn);
        },
      },
      {
        types: ['AWS::Lambda::Permission'],
        provision: async (resource) => provisionPermission(resource),
        remove: async ({ ref, properties }) => {
          const found = [...functions.values()].find(({ config }) =>
            [config.name, config.arn].includes(properties.FunctionName),
          );
          if (found) deps.iam.removeResourceStatement(found.config.arn, ref);
        },
      },
      {
        types: ['AWS::Lambda::EventSourceMapping'],
        provision: async (resource) => {
          const target = functionOf(resource.properties.FunctionName);
          mappings.push(mappingOf(resource, target, roles.get(target.config.arn) ?? ''));
          return { ref: physicalName(resource), attributes: { Id: physicalName(resource) } };
        },
      },
      {
        // Asynchronous invocations are always tried three times here; other settings would be silently ignored.
        types: ['AWS::Lambda::EventInvokeConfig'],
        provision: async (resource) => {
          const { MaximumRetryAttempts = 2, DestinationConfig } = resource.properties;
          if (MaximumRetryAttempts !== 2 || DestinationConfig)
            throw new Error('the local cloud only has the default of two retries and no destinations');
          return { ref: physicalName(resource) };
        },
      },
    ],
    async invoke(functionArn, event, by) {
      const target = functionOf(functionArn);
      const authorization = {
        action: 'lambda:InvokeFunction',
        resource: target.config.arn,
        context: { 'aws:SourceArn': by.sourceArn },
      };
      deps.iam.requireService(by.service, authorization);
      return target.invoke(event);
    },
    invokeLater,
    async start() {
      // Checked when the function is created; here its policies stand only now.
      const needed = [
        'ec2:CreateNetworkInterface',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DeleteNetworkInterface',
      ];
      for (const arn of inVpc) for (const action of needed) requireOfRole(arn, action, '*');
      for (const mapping of mappings) {
        const queue = context.registry.byArn(mapping.queueArn);
        checkMapping(mapping, deps.iam, Number(queue?.properties.VisibilityTimeout ?? 30));
      }
      for (const mapping of mappings) {
        pollers.push(pollQueue(mapping, { ...deps, context, queues: deps.queues() }, stopping.signal));
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all([...functions.values()].map((one) => one.stop()));
      await Promise.all(pollers);
    },
  };
}

function handlerFile(directory: string, file: string): string {
  const candidates = ['.mjs', '.js', '.cjs'].map((extension) => join(directory, `${file}${extension}`));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (!found) throw new Error(`its handler file ${file} is not in the asset`);
  return found;
}

/** Lambda's JSON log format: what is a JSON object already stays as it is. */
function logLine(line: string, requestId: string | undefined): string {
  if (line.startsWith('{')) return line;
  return JSON.stringify({ timestamp: new Date().toISOString(), level: 'INFO', requestId, message: line });
}
