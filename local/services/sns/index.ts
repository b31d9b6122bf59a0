import path from 'node:path';
import { physicalName } from '../../aws/names.ts';
import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import type { Iam } from '../../iam/iam.ts';
import { Topics } from './topics.ts';

/** SNS: topics that alarms publish to. Subscriptions are accepted; their mails are what `nanny local pages` shows. */
export function createSns(context: CloudContext, iam: Iam): ServiceModule & { readonly topics: Topics } {
  const topics = new Topics({
    context,
    iam,
    file: path.join(context.stateDir, 'pages.jsonl'),
    now: Date.now,
  });
  return {
    topics,
    services: [],
    providers: [
      {
        types: ['AWS::SNS::Topic'],
        async provision(resource) {
          const { TopicName, KmsMasterKeyId } = resource.properties;
          const name: string = TopicName ?? physicalName(resource);
          const arn = `arn:aws:sns:${context.region}:${context.accountId}:${name}`;
          topics.add(arn, KmsMasterKeyId);
          return { ref: arn, attributes: { TopicArn: arn, TopicName: name } };
        },
      },
      {
        types: ['AWS::SNS::TopicPolicy'],
        async provision(resource) {
          for (const arn of resource.properties.Topics as string[]) {
            iam.setResourcePolicy(arn, resource.properties.PolicyDocument);
          }
          return { ref: physicalName(resource) };
        },
      },
      {
        types: ['AWS::SNS::Subscription'],
        async provision(resource) {
          const { TopicArn, Protocol } = resource.properties;
          if (!topics.has(TopicArn)) throw new Error(`there is no topic ${TopicArn}`);
          if (Protocol !== 'email') throw new Error(`the local cloud has no subscriptions by ${Protocol}`);
          return { ref: `${TopicArn}:${physicalName(resource)}` };
        },
      },
    ],
  };
}
