import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ArnFormat, Duration, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct, type IDependable } from 'constructs';
import type { envSchema } from '../../lambdas/tenant-resource/env.ts';
import { bundledCode } from './bundle.ts';
import type { EnvironmentOf } from './control-function.ts';

export interface ServedTenant {
  readonly tenantName: string;
  readonly secretArn: string;
  readonly encryptionKeyArn?: string | undefined;
  /** What the daily look is given. */
  readonly renewal: Readonly<Record<string, unknown>>;
}

/**
 * The function behind the EtcdTenants of one stack. It lives in the stack that uses it, and not in the control plane, so
 * that a stack can touch its own tenants only: its role is let into the API by their paths.
 */
export class EtcdTenantHandler extends Construct {
  readonly serviceToken: string;
  /** Tells one API from another, the same in every synth. */
  readonly apiKey: string;
  /** All that the function may do stands before the first tenant and goes after the last. */
  readonly permissions: IDependable;
  readonly #function: lambda.Function;
  readonly #role: iam.Role;
  readonly #apiId: string;
  readonly #tenants = new Set<string>();

  /** One for each stack and API. */
  static of(scope: Construct, apiUrl: string): EtcdTenantHandler {
    const stack = Stack.of(scope);
    const digest = createHash('sha256')
      .update(JSON.stringify(stack.resolve(apiUrl)))
      .digest('hex');
    const apiKey = digest.slice(0, 8);
    const id = `EtcdTenantHandler${apiKey}`;
    return (
      (stack.node.tryFindChild(id) as EtcdTenantHandler | undefined) ??
      new EtcdTenantHandler(stack, id, apiUrl, apiKey)
    );
  }

  constructor(scope: Construct, id: string, apiUrl: string, apiKey: string) {
    super(scope, id);
    this.apiKey = apiKey;
    const host = Fn.select(2, Fn.split('/', apiUrl));
    this.#apiId = Fn.select(0, Fn.split('.', host));
    const logGroup = new logs.LogGroup(this, 'Logs', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.#role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: 'etcd-nanny: tenants of this stack',
    });
    this.#role.addToPolicy(
      new iam.PolicyStatement({
        sid: 'WriteLogs',
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [logGroup.logGroupArn],
      }),
    );
    const environment: EnvironmentOf<typeof envSchema> = { API_URL: apiUrl, ROLE_NAME: this.#role.roleName };
    this.#function = new lambda.Function(this, 'Function', {
      description: 'etcd-nanny: creates, changes and deletes the tenants of this stack',
      code: handlerCode(),
      handler: 'index.handler',
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      memorySize: 256,
      timeout: Duration.minutes(15),
      environment: { ...environment, NODE_OPTIONS: '--enable-source-maps' },
      role: this.#role,
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
    });
    this.serviceToken = this.#function.functionArn;
    // A policy of its own: in the role's it would make a circle with the function.
    const goOn = new iam.Policy(this, 'GoOn', {
      statements: [
        new iam.PolicyStatement({
          sid: 'GoOn',
          actions: ['lambda:InvokeFunction'],
          resources: [this.#function.functionArn],
        }),
      ],
      roles: [this.#role],
    });
    this.permissions = goOn;
  }

  /**
   * Lets the function work on this tenant and its secret, and look at its credentials daily. By a policy of the tenant's
   * own: it stands before the tenant and goes after it, also when another tenant takes its place.
   */
  serve(scope: Construct, { tenantName, secretArn, encryptionKeyArn, renewal }: ServedTenant): IDependable {
    if (this.#tenants.has(tenantName))
      throw new Error(
        `EtcdTenant ${scope.node.path}: this stack has another tenant "${tenantName}" already.`,
      );
    this.#tenants.add(tenantName);
    const routes = [
      ...['GET', 'PUT', 'PATCH', 'DELETE'].map((method) => [method, '']),
      ['GET', '/operations'],
      ['GET', '/connection'],
      ['POST', '/credentials'],
    ];
    const allow = (sid: string, actions: string[], resources: string[], conditions?: object) =>
      new iam.PolicyStatement({ sid, actions, resources, ...(conditions ? { conditions } : {}) });
    const viaSecretsManager = {
      StringEquals: { 'kms:ViaService': `secretsmanager.${Stack.of(this).region}.amazonaws.com` },
    };
    const access = new iam.Policy(scope, 'Access', {
      roles: [this.#role],
      statements: [
        allow(
          'CallApi',
          ['execute-api:Invoke'],
          routes.map(([method, below]) => this.#routeArn(`${method}/v1/tenants/${tenantName}${below}`)),
        ),
        allow('KeepSecret', ['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue'], [secretArn]),
        ...(encryptionKeyArn === undefined
          ? []
          : [allow('UseKey', ['kms:Decrypt', 'kms:GenerateDataKey'], [encryptionKeyArn], viaSecretsManager)]),
      ],
    });
    new events.Rule(scope, 'DailyLook', {
      description: `etcd-nanny: credentials of tenant ${tenantName} are renewed in time`,
      schedule: events.Schedule.rate(Duration.days(1)),
      targets: [
        new targets.LambdaFunction(this.#function, { event: events.RuleTargetInput.fromObject(renewal) }),
      ],
    });
    return access;
  }

  #routeArn(route: string): string {
    return Stack.of(this).formatArn({
      service: 'execute-api',
      resource: this.#apiId,
      resourceName: `$default/${route}`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
  }
}

/** In the built package the function lies ready beside this file; in a checkout it is bundled now. */
function handlerCode(): lambda.Code {
  const ready = path.join(import.meta.dirname, 'tenant-resource');
  if (existsSync(path.join(ready, 'index.mjs'))) return lambda.Code.fromAsset(ready);
  return bundledCode(path.resolve(import.meta.dirname, '../../lambdas/tenant-resource'));
}
