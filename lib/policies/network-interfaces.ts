import * as iam from 'aws-cdk-lib/aws-iam';

/** What Lambda itself needs, as the function's role, to put the function into a VPC. None of it can be narrowed by ARN. */
export function networkInterfaces(): iam.PolicyStatement[] {
  return [
    new iam.PolicyStatement({
      sid: 'NetworkInterfaces',
      actions: [
        'ec2:CreateNetworkInterface',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DescribeSubnets',
        'ec2:DeleteNetworkInterface',
        'ec2:AssignPrivateIpAddresses',
        'ec2:UnassignPrivateIpAddresses',
      ],
      resources: ['*'],
    }),
  ];
}
