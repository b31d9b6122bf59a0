import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as apigatewayv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer, HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { JwtConfig } from '../config.ts';

export interface TenantApiProps {
  readonly handler: lambda.IFunction;
  readonly logRetentionDays: number;
  /** @default callers sign with SigV4, and IAM says which paths they may call */
  readonly jwt?: JwtConfig | undefined;
}

/** The public HTTP API. No call goes through unproven; what a token may touch, paths and bodies are the api function's business. */
export class TenantApi extends Construct {
  readonly api: apigatewayv2.HttpApi;
  readonly accessLog: logs.ILogGroup;

  constructor(scope: Construct, id: string, props: TenantApiProps) {
    super(scope, id);
    this.api = new apigatewayv2.HttpApi(this, 'Api', {
      apiName: `${Stack.of(this).stackName}-tenants`,
      description: 'etcd-nanny: tenants',
      createDefaultStage: false,
    });
    this.api.addRoutes({
      path: '/v1/{proxy+}',
      methods: [apigatewayv2.HttpMethod.ANY],
      integration: new HttpLambdaIntegration('Function', props.handler),
      authorizer: props.jwt
        ? new HttpJwtAuthorizer('Jwt', props.jwt.issuer, { jwtAudience: props.jwt.audience })
        : new HttpIamAuthorizer(),
    });
    const accessLog = new logs.LogGroup(this, 'AccessLog', {
      retention: props.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.accessLog = accessLog;
    new apigatewayv2.HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: 100, burstLimit: 200 },
      accessLogSettings: { destination: new apigatewayv2.LogGroupLogDestination(accessLog) },
    });
  }
}
