import { Duration } from 'aws-cdk-lib';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { type Duty, duties } from '../../lambdas/core/model/duties.ts';

/** Longest run of a function that reads a queue. */
export const lookTimeout = Duration.seconds(60);

/**
 * "Look at tenant X", one queue per duty. Messages carry no command, so a lost or doubled one is harmless: the sweep
 * finds every tenant again. The dead-letter queues are there to show that something keeps failing.
 */
export class LookQueues extends Construct {
  readonly byDuty: Readonly<Record<Duty, sqs.Queue>>;
  readonly all: readonly sqs.Queue[];
  /** Where messages of each end that fail again and again. */
  readonly dead: readonly sqs.Queue[];

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const entries = duties.map(
      (duty) => [duty, this.queue(`${duty[0]?.toUpperCase()}${duty.slice(1)}`)] as const,
    );
    this.byDuty = Object.fromEntries(entries) as Record<Duty, sqs.Queue>;
    this.all = Object.values(this.byDuty);
    this.dead = this.all.flatMap(({ deadLetterQueue }) => (deadLetterQueue?.queue as sqs.Queue) ?? []);
  }

  private queue(name: string): sqs.Queue {
    const common = { enforceSSL: true, encryption: sqs.QueueEncryption.SQS_MANAGED };
    const dead = new sqs.Queue(this, `${name}Dead`, { ...common, retentionPeriod: Duration.days(14) });
    return new sqs.Queue(this, name, {
      ...common,
      // Just above the function's own limit: a crashed pass is taken up again soon.
      visibilityTimeout: lookTimeout.plus(Duration.seconds(10)),
      // The sweep looks again each minute; a day-old "look" says nothing.
      retentionPeriod: Duration.days(1),
      deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
    });
  }

  get urls(): Readonly<Record<Duty, string>> {
    const urls = duties.map((duty) => [duty, this.byDuty[duty].queueUrl] as const);
    return Object.fromEntries(urls) as Record<Duty, string>;
  }
}
