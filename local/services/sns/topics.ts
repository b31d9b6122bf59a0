import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { AwsError, type CloudContext } from '../../aws/service.ts';
import { parseDocument } from '../../iam/document.ts';
import { evaluate } from '../../iam/evaluate.ts';
import type { Iam } from '../../iam/iam.ts';

/** What a topic was told: for the people who would have got a mail. */
export interface Page {
  readonly at: string;
  readonly topic: string;
  /** ARN of the alarm that told it. */
  readonly from: string;
  readonly subject: string;
  readonly message: string;
}

export interface TopicDeps {
  readonly context: Pick<CloudContext, 'registry' | 'log' | 'accountId'>;
  readonly iam: Pick<Iam, 'requireService'>;
  /** One JSON document a line. */
  readonly file: string;
  readonly now: () => number;
}

/** SNS as far as alarms need it: what is published is kept to be read, nothing leaves the machine. */
export class Topics {
  readonly #deps: TopicDeps;
  /** By ARN: key that the topic is encrypted with. */
  readonly #topics = new Map<string, { readonly keyArn: string | undefined }>();

  constructor(deps: TopicDeps) {
    this.#deps = deps;
    mkdirSync(path.dirname(deps.file), { recursive: true });
  }

  add(arn: string, keyArn: string | undefined): void {
    this.#topics.set(arn, { keyArn });
  }

  has(arn: string): boolean {
    return this.#topics.has(arn);
  }

  /** As CloudWatch does: a topic or a key that does not let it in loses the message, and nobody but the log hears of it. */
  publish(topicArn: string, alarmArn: string, { subject, message }: Pick<Page, 'subject' | 'message'>): void {
    const { context, iam, file, now } = this.#deps;
    try {
      const topic = this.#topics.get(topicArn);
      if (topic === undefined) throw new AwsError('NotFound', `There is no topic ${topicArn}.`, 404);
      const conditions = { 'aws:SourceArn': alarmArn, 'aws:SourceAccount': context.accountId };
      const service = 'cloudwatch.amazonaws.com';
      iam.requireService(service, { action: 'sns:Publish', resource: topicArn, context: conditions });
      if (topic.keyArn !== undefined) this.#requireKey(topic.keyArn, service, conditions);
      const page: Page = {
        at: new Date(now()).toISOString(),
        topic: topicArn,
        from: alarmArn,
        subject,
        message,
      };
      appendFileSync(file, `${JSON.stringify(page)}\n`, { mode: 0o600 });
    } catch (error) {
      context.log('page lost', { topic: topicArn, alarm: alarmArn, error: String(error) });
    }
  }

  /** Oldest first. */
  pages(): Page[] {
    let text: string;
    try {
      text = readFileSync(this.#deps.file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Page);
  }

  /** CloudWatch has no role: only the key's own policy can let it in. */
  #requireKey(keyArn: string, service: string, context: Record<string, string>): void {
    const key = this.#deps.context.registry.byArn(keyArn);
    const document = parseDocument(key?.properties.KeyPolicy ?? { Statement: [] }, `the policy of ${keyArn}`);
    for (const action of ['kms:GenerateDataKey', 'kms:Decrypt']) {
      const decision = evaluate(document, {
        action,
        resource: keyArn,
        context,
        principals: [`Service:${service}`],
      });
      if (decision.effect !== 'allow') {
        throw new AwsError('KMSAccessDenied', `The policy of ${keyArn} does not allow ${service} ${action}.`);
      }
    }
  }
}
