import { parseDocument, type Statement } from './document.ts';

/**
 * What the AWS-managed policies in use allow (AWS Managed Policy Reference), as far as this cloud has the actions.
 * A policy that is not here fails at start: nobody would know what it allows.
 */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'service-role/AWSLambdaBasicExecutionRole': [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
  'service-role/AWSLambdaVPCAccessExecutionRole': [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ],
  'service-role/AmazonECSTaskExecutionRolePolicy': [
    'ecr:GetAuthorizationToken',
    'ecr:BatchCheckLayerAvailability',
    'ecr:GetDownloadUrlForLayer',
    'ecr:BatchGetImage',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
  'service-role/AmazonECSInfrastructureRolePolicyForVolumes': [
    'ec2:CreateVolume',
    'ec2:CreateTags',
    'ec2:AttachVolume',
    'ec2:DetachVolume',
    'ec2:DeleteVolume',
    'ec2:DescribeVolumes',
    'ec2:DescribeAvailabilityZones',
    'ec2:DescribeInstances',
    'kms:CreateGrant',
  ],
  'service-role/AmazonAPIGatewayPushToCloudWatchLogs': ['logs:*'],
};

/** @throws Error for a policy that is not in the table */
export function managedPolicy(arn: string, role: string): Statement[] {
  const name = arn.replace(/^arn:[^:]+:iam::aws:policy\//, '');
  const actions = allowed[name];
  if (!actions) {
    throw new Error(
      `Role ${role} uses the AWS-managed policy ${name}, which the local cloud does not know: add it to local/iam/managed-policies.ts.`,
    );
  }
  return parseDocument({ Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] }, name);
}
