import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';

export interface AlarmTopicProps {
  readonly deploymentName: string;
  readonly email?: string | undefined;
}

/**
 * Where alarms page. Whoever is to be woken subscribes here: a mail address by config, anything else (a pager, a chat) by hand. The key is
 * of its own: CloudWatch has to be let into the key's policy, and it has no business with the one that protects tenants' secrets.
 */
export class AlarmTopic extends Construct {
  readonly topic: sns.Topic;

  constructor(scope: Construct, id: string, { deploymentName, email }: AlarmTopicProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const cloudWatch = new iam.ServicePrincipal('cloudwatch.amazonaws.com');
    const ofThisAccount = { StringEquals: { 'aws:SourceAccount': stack.account } };
    const key = new kms.Key(this, 'Key', {
      description: 'etcd-nanny: pages on their way',
      enableKeyRotation: true,
      // Nothing is kept under it: no page is left to be read when the topic is gone.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    key.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'CloudWatchPages',
        principals: [cloudWatch],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
        conditions: ofThisAccount,
      }),
    );
    this.topic = new sns.Topic(this, 'Topic', {
      displayName: `${deploymentName} pages`,
      masterKey: key,
      enforceSSL: true,
    });
    this.topic.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'CloudWatchPages',
        principals: [cloudWatch],
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        conditions: {
          ...ofThisAccount,
          ArnLike: { 'aws:SourceArn': alarmArns(stack, `${deploymentName}*`) },
        },
      }),
    );
    if (email !== undefined) this.topic.addSubscription(new subscriptions.EmailSubscription(email));
  }
}

export const alarmArns = (stack: Stack, name: string): string =>
  `arn:${stack.partition}:cloudwatch:${stack.region}:${stack.account}:alarm:${name}`;
