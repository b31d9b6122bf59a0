import { RemovalPolicy } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { type JoinAddress, joinRoutes, joinStage } from './join-address.ts';

export interface JoinRoutesProps {
  readonly address: JoinAddress;
  readonly handler: lambda.IFunction;
}

/** What answers at the join address: one POST for each of `joinRoutes`, signed by a task's own role. */
export class JoinRoutes extends Construct {
  constructor(scope: Construct, id: string, props: JoinRoutesProps) {
    super(scope, id);
    const { api: restApi } = props.address;
    const api = apigateway.RestApi.fromRestApiAttributes(this, 'Api', {
      restApiId: restApi.ref,
      rootResourceId: restApi.attrRootResourceId,
    });
    const integration = new apigateway.LambdaIntegration(props.handler, { scopePermissionToMethod: false });
    const methods = joinRoutes.map((route) =>
      api.root.addResource(route).addMethod('POST', integration, {
        authorizationType: apigateway.AuthorizationType.IAM,
      }),
    );
    // A deployment is a snapshot of the routes: its logical id has to change with them.
    // Raise `version` by hand when the resource policy of the address changes: it takes effect with a deployment too.
    const deployment = new apigateway.Deployment(this, 'Deployment', { api, retainDeployments: false });
    deployment.addToLogicalId({ routes: joinRoutes, authorization: 'AWS_IAM', version: 1 });
    deployment.node.addDependency(...methods);
    const stage = new apigateway.Stage(this, 'Stage', {
      deployment,
      stageName: joinStage,
      throttlingRateLimit: 200,
      throttlingBurstLimit: 400,
    });
    stage.applyRemovalPolicy(RemovalPolicy.DESTROY);
    acknowledge(
      stage,
      'REST APIs write logs through one role per account and Region, which is not ours to set; the join function logs ' +
        'every call with its caller. The API is private: only the VPC endpoint of the cell reaches it, so no web ACL.',
      'AwsSolutions-APIG1',
      'AwsSolutions-APIG3',
      'AwsSolutions-APIG6',
    );
    for (const method of methods)
      acknowledge(
        method,
        'Callers are task roles, authorised by IAM; there are no users to pool.',
        'AwsSolutions-COG4',
      );
  }
}
