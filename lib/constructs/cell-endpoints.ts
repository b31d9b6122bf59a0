import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';

export interface CellEndpointsProps {
  readonly vpc: ec2.IVpc;
  /** Who may use them. */
  readonly clients: readonly ec2.ISecurityGroup[];
  /** False where a NAT leads to the services: then only the join API has one. */
  readonly forAllServices: boolean;
}

const service = ec2.InterfaceVpcEndpointAwsService;

/** Called by functions in the VPC. */
const forFunctions = {
  Ec2: service.EC2,
  Ecs: service.ECS,
  Sqs: service.SQS,
  Kms: service.KMS,
  CloudMap: service.CLOUD_MAP_SERVICE_DISCOVERY,
};
/** Needed by Fargate to start a task: image and logs. */
const forTasks = { EcrApi: service.ECR, EcrDocker: service.ECR_DOCKER, Logs: service.CLOUDWATCH_LOGS };

/**
 * The AWS services that the cell reaches, besides S3 and DynamoDB, whose endpoints are free. Without NAT what is not here
 * cannot be reached. The one of execute-api always stands: the join API is private, which means that it has no address
 * outside this endpoint, and it believes a caller to be in the cell by nothing but `aws:SourceVpce`.
 */
export class CellEndpoints extends Construct {
  /** Tasks call the join API through this one; the API accepts nobody else. */
  readonly executeApi: ec2.InterfaceVpcEndpoint;

  constructor(scope: Construct, id: string, props: CellEndpointsProps) {
    super(scope, id);
    const { vpc } = props;
    vpc.addGatewayEndpoint('S3', { service: ec2.GatewayVpcEndpointAwsService.S3 });
    vpc.addGatewayEndpoint('DynamoDb', { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB });

    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'AWS service endpoints of the cell',
      allowAllOutbound: false,
    });
    for (const client of props.clients)
      securityGroup.addIngressRule(client, ec2.Port.tcp(443), 'HTTPS from members and functions');

    const add = (name: string, endpointService: ec2.IInterfaceVpcEndpointService) =>
      new ec2.InterfaceVpcEndpoint(this, name, {
        vpc,
        service: endpointService,
        securityGroups: [securityGroup],
        subnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
        privateDnsEnabled: true,
        open: false,
      });
    this.executeApi = add('ExecuteApi', service.APIGATEWAY);
    if (!props.forAllServices) return;
    for (const [name, endpointService] of Object.entries({ ...forFunctions, ...forTasks }))
      add(name, endpointService);
  }
}
