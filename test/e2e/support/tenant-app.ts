/**
 * A CDK app as somebody would write it who has an etcd-nanny deployment in their account. Run as a program, as the CDK CLI
 * runs one; TENANT_APP says what this round of the test wants of it.
 */
import { App, CfnOutput, CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { EtcdTenant, type EtcdTenantProps } from 'etcd-nanny';

export interface TenantApp {
  readonly tenant: EtcdTenantProps;
  /** Folder of a function that fails every creation: a part of the app that does not come up. */
  readonly broken?: string;
}

const { tenant, broken } = JSON.parse(process.env.TENANT_APP ?? '{"tenant":{}}') as TenantApp;
const app = new App();
const stack = new Stack(app, 'shop');
const etcd = new EtcdTenant(stack, 'shop', tenant);
const reader = new iam.Role(stack, 'Reader', {
  assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
});
etcd.grantRead(reader);

if (broken !== undefined) {
  const failing = new lambda.Function(stack, 'Broken', {
    code: lambda.Code.fromAsset(broken),
    handler: 'index.handler',
    runtime: lambda.Runtime.NODEJS_24_X,
    timeout: Duration.minutes(1),
  });
  const resource = new CustomResource(stack, 'Part', {
    resourceType: 'Custom::Part',
    serviceToken: failing.functionArn,
  });
  resource.node.addDependency(etcd);
}

new CfnOutput(stack, 'Endpoints', { value: etcd.endpoints });
new CfnOutput(stack, 'DnsEndpoint', { value: etcd.dnsEndpoint });
new CfnOutput(stack, 'ClusterId', { value: etcd.clusterId });
new CfnOutput(stack, 'Secret', { value: etcd.secret.secretArn });
new CfnOutput(stack, 'ReaderRole', { value: reader.roleArn });
app.synth();
