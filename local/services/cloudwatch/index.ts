import path from 'node:path';
import { physicalName } from '../../aws/names.ts';
import type { CloudContext, ServiceModule, TemplateResource } from '../../aws/service.ts';
import type { Topics } from '../sns/topics.ts';
import { Alarms } from './alarms.ts';
import { samplesIn } from './emf.ts';
import { Metrics } from './metrics.ts';
import { compositeAlarmSchema, metricAlarmSchema } from './model.ts';
import { cloudWatchService, parse } from './service.ts';

export interface CloudWatchDeps {
  readonly topics: Topics;
  /** Asked at every tick: what SQS tells CloudWatch of its queues. */
  readonly queues: () => readonly {
    readonly name: string;
    readonly visible: number;
    readonly oldestAgeSeconds: number;
  }[];
}

export interface CloudWatch {
  readonly alarms: Alarms;
  readonly metrics: Metrics;
  /** A line that a function has written, as CloudWatch Logs gets it. */
  line(text: string): void;
  /** A metric of AWS's own. */
  count(namespace: string, name: string, dimensions: Readonly<Record<string, string>>, value: number): void;
}

const tickMs = 1_000;
/** SQS tells its figures once a minute; faster when the alarms' time is. */
const queuesEveryMs = 60_000;

/** CloudWatch: metrics of log lines and calls, and alarms upon them. Alarms survive a stop. */
export function createCloudWatch(context: CloudContext, deps: CloudWatchDeps): ServiceModule & CloudWatch {
  const metrics = new Metrics();
  const file = path.join(context.stateDir, 'cloudwatch', 'alarms.json');
  const alarms = new Alarms({ context, metrics, topics: deps.topics, file, now: Date.now });
  let timer: NodeJS.Timeout | undefined;
  let queuesAt = 0;

  const count: CloudWatch['count'] = (namespace, name, dimensions, value) =>
    metrics.put({ namespace, name, dimensions, value, at: Date.now() });

  function tick(): void {
    if (Date.now() - queuesAt >= queuesEveryMs / alarms.speed) {
      queuesAt = Date.now();
      for (const { name, visible, oldestAgeSeconds } of deps.queues()) {
        const dimensions = { QueueName: name };
        count('AWS/SQS', 'ApproximateNumberOfMessagesVisible', dimensions, visible);
        count('AWS/SQS', 'ApproximateAgeOfOldestMessage', dimensions, oldestAgeSeconds * alarms.speed);
      }
    }
    alarms.evaluate();
  }

  /** The template's word is the last one; the state that the alarm had stays. */
  function provisionAlarm(resource: TemplateResource) {
    const { Tags: _tags, ...properties } = resource.properties;
    const AlarmName: string = properties.AlarmName ?? physicalName(resource);
    if (resource.type === 'AWS::CloudWatch::Alarm') {
      alarms.putMetric(parse(metricAlarmSchema, { ...properties, AlarmName }));
    } else alarms.putComposite(parse(compositeAlarmSchema, { ...properties, AlarmName }));
    return { ref: AlarmName, attributes: { Arn: alarms.arn(AlarmName) } };
  }

  return {
    alarms,
    metrics,
    count,
    line(text) {
      for (const sample of samplesIn(text)) metrics.put(sample);
    },
    services: [cloudWatchService(alarms, metrics, Date.now)],
    providers: [
      {
        types: ['AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm'],
        provision: async (resource) => provisionAlarm(resource),
      },
      {
        // Pictures for people: nothing here draws them, but a body that is no JSON fails on AWS.
        types: ['AWS::CloudWatch::Dashboard'],
        async provision(resource) {
          JSON.parse(resource.properties.DashboardBody);
          return { ref: resource.properties.DashboardName ?? physicalName(resource) };
        },
      },
    ],
    async start() {
      timer = setInterval(tick, tickMs);
    },
    async stop() {
      clearInterval(timer);
    },
  };
}
