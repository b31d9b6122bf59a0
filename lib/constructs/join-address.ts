import { Stack } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';

export const joinRoutes = ['join', 'report', 'renew', 'storage', 'work'] as const;
export const joinStage = 'v1';

export interface JoinAddressProps {
  /** The only way in. */
  readonly endpoint: ec2.IInterfaceVpcEndpoint;
}

/** The private REST API that nannies call, without its routes: those come with the functions behind them. */
export class JoinAddress extends Construct {
  readonly api: apigateway.CfnRestApi;

  constructor(scope: Construct, id: string, props: JoinAddressProps) {
    super(scope, id);
    const endpointId = props.endpoint.vpcEndpointId;
    this.api = new apigateway.CfnRestApi(this, 'Api', {
      name: `${Stack.of(this).stackName}-join`,
      description: 'Nannies join, report, renew their certificates and get access to backups here',
      endpointConfiguration: { types: ['PRIVATE'], vpcEndpointIds: [endpointId] },
      policy: new iam.PolicyDocument({
        statements: [
          // The account as principal: what the caller's own policies do not allow stays denied.
          new iam.PolicyStatement({
            sid: 'AccountThroughEndpoint',
            principals: [new iam.AccountRootPrincipal()],
            actions: ['execute-api:Invoke'],
            resources: ['execute-api:/*'],
            conditions: { StringEquals: { 'aws:SourceVpce': endpointId } },
          }),
          new iam.PolicyStatement({
            sid: 'NobodyElse',
            effect: iam.Effect.DENY,
            principals: [new iam.AnyPrincipal()],
            actions: ['execute-api:Invoke'],
            resources: ['execute-api:/*'],
            conditions: { StringNotEquals: { 'aws:SourceVpce': endpointId } },
          }),
        ],
      }),
    });
    acknowledge(
      this.api,
      'The join function checks each body against its zod schema and answers with every problem found.',
      'AwsSolutions-APIG2',
    );
  }

  /** Base URL of the stage. It resolves to the execute-api endpoint inside the VPC only. */
  get url(): string {
    const { region, urlSuffix } = Stack.of(this);
    return `https://${this.api.ref}.execute-api.${region}.${urlSuffix}/${joinStage}`;
  }

  /** ARNs of the calls, for the role of the tasks. */
  get routeArns(): string[] {
    return joinRoutes.map((route) =>
      Stack.of(this).formatArn({
        service: 'execute-api',
        resource: this.api.ref,
        resourceName: `${joinStage}/POST/${route}`,
      }),
    );
  }
}
