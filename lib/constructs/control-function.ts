import path from 'node:path';
import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type * as z from 'zod';
import type { Duty } from '../../lambdas/core/ports.ts';
import { networkInterfaces } from '../policies/network-interfaces.ts';
import { acknowledgeWildcards } from '../policies/wildcards.ts';
import { bundledCode } from './bundle.ts';

const lambdasFolder = path.resolve(import.meta.dirname, '../../lambdas');

/** Variables as lambdas/<name>/env.ts wants them: a missing or misspelt one does not compile. */
export type EnvironmentOf<S extends z.ZodObject> = Record<keyof z.input<S> & string, string>;

export interface ControlFunctionProps<S extends z.ZodObject> {
  /** Folder below lambdas/ that has handler.ts and env.ts. */
  readonly name: 'api' | 'join' | 'guard' | Duty;
  readonly description: string;
  readonly envSchema: S;
  readonly environment: EnvironmentOf<S>;
  readonly timeout: Duration;
  /** Everything the function may do besides its logs and its network interfaces. */
  readonly statements: readonly iam.PolicyStatement[];
  readonly logRetentionDays: number;
  /** For functions that call nannies. @default outside any VPC */
  readonly network?: { readonly vpc: ec2.IVpc; readonly securityGroup: ec2.ISecurityGroup };
}

/** The one place that says how functions of the control plane are built, logged and run. */
export class ControlFunction<S extends z.ZodObject> extends Construct {
  readonly function: lambda.Function;
  readonly role: iam.IRole;
  readonly logGroup: logs.ILogGroup;

  constructor(scope: Construct, id: string, props: ControlFunctionProps<S>) {
    super(scope, id);
    const logGroup = new logs.LogGroup(this, 'Logs', {
      retention: props.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: `etcd-nanny: function ${props.name}`,
    });
    this.role = role;
    this.logGroup = logGroup;
    const inNetwork = props.network ? networkInterfaces() : [];
    const statements = [writeLogs(logGroup), ...inNetwork, ...props.statements];
    for (const statement of statements) role.addToPolicy(statement);
    acknowledgeWildcards(role, statements);

    this.function = new lambda.Function(this, 'Function', {
      description: `etcd-nanny: ${props.description}`,
      code: bundledCode(path.join(lambdasFolder, props.name)),
      handler: 'index.handler',
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      memorySize: 512,
      timeout: props.timeout,
      environment: { ...props.environment, NODE_OPTIONS: '--enable-source-maps' },
      role,
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      ...(props.network
        ? {
            vpc: props.network.vpc,
            vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
            securityGroups: [props.network.securityGroup],
          }
        : {}),
    });
  }
}

function writeLogs(logGroup: logs.ILogGroup): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid: 'WriteLogs',
    actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    resources: [logGroup.logGroupArn],
  });
}
