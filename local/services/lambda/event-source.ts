import type { CloudContext, QueueAccess, QueueMessage, TemplateResource } from '../../aws/service.ts';
import type { Iam } from '../../iam/iam.ts';
import { type LocalFunction, ThrottledError } from './function.ts';
import type { InvokeResult } from './worker.ts';

export interface EventSourceMapping {
  readonly queueArn: string;
  readonly target: LocalFunction;
  readonly roleArn: string;
  readonly batchSize: number;
  readonly partialFailures: boolean;
  /** Batches that may run at once. */
  readonly concurrency: number;
}

/** Properties that this cloud keeps; any other would be silently ignored, so it fails. */
const knownProperties = new Set([
  'BatchSize',
  'Enabled',
  'EventSourceArn',
  'FunctionName',
  'FunctionResponseTypes',
  'ScalingConfig',
  'Tags',
]);

/** @throws Error for properties of a mapping that this cloud does not know */
export function mappingOf(
  { properties }: TemplateResource,
  target: LocalFunction,
  roleArn: string,
): EventSourceMapping {
  const unknown = Object.keys(properties).filter((name) => !knownProperties.has(name));
  if (unknown.length > 0) throw new Error(`the local cloud does not know ${unknown.join(', ')}`);
  if (properties.Enabled === false) throw new Error('the local cloud does not know disabled mappings');
  if (!String(properties.EventSourceArn).startsWith('arn:aws:sqs:')) {
    throw new Error(`${properties.EventSourceArn} is no SQS queue`);
  }
  return {
    queueArn: properties.EventSourceArn,
    target,
    roleArn,
    batchSize: properties.BatchSize ?? 10,
    partialFailures: (properties.FunctionResponseTypes ?? []).includes('ReportBatchItemFailures'),
    concurrency: Math.min(
      properties.ScalingConfig?.MaximumConcurrency ?? target.concurrency,
      target.concurrency,
    ),
  };
}

/**
 * What Lambda checks when the mapping is created.
 * @throws Error in the words of AWS
 */
export function checkMapping(mapping: EventSourceMapping, iam: Iam, visibilitySeconds: number): void {
  for (const action of ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes']) {
    const caller = {
      accessKeyId: '',
      accountId: '',
      principalArn: mapping.roleArn,
      roleArn: mapping.roleArn,
    };
    const authorization = { action: `sqs:${action}`, resource: mapping.queueArn };
    const decision = iam.decide(caller, authorization);
    if (decision.effect !== 'allow') {
      throw new Error(
        `The role ${mapping.roleArn} of function ${mapping.target.config.name} has no permission to call ${action} on ${mapping.queueArn}: the event source mapping cannot be created.`,
      );
    }
    iam.book.allowed(mapping.roleArn, authorization, decision.allowedBy);
  }
  if (visibilitySeconds * 1000 < mapping.target.config.timeoutMs) {
    throw new Error(
      `The visibility timeout of ${mapping.queueArn} (${visibilitySeconds} s) is less than the timeout of function ${mapping.target.config.name} (${mapping.target.config.timeoutMs / 1000} s): the event source mapping cannot be created.`,
    );
  }
}

const longPollMs = 20_000;
/** After a fault of the queue itself: long enough not to spin. */
const pauseMs = 500;

export interface PollDeps {
  readonly context: Pick<CloudContext, 'region' | 'log'>;
  readonly queues: QueueAccess;
  /** Seconds until failed messages come back, when that is not left to the queue. */
  readonly retryAfterSeconds: () => number | undefined;
  readonly isHeld: (functionName: string) => boolean;
}

/** Polls until `signal` aborts; returns when the batches under way have ended. */
export async function pollQueue(
  mapping: EventSourceMapping,
  deps: PollDeps,
  signal: AbortSignal,
): Promise<void> {
  const { context, queues } = deps;
  const running = new Set<Promise<void>>();
  const isHeld = () => deps.isHeld(mapping.target.config.name);
  const aborted = new Promise<QueueMessage[]>((resolve) => {
    signal.addEventListener('abort', () => resolve([]));
  });
  while (!signal.aborted) {
    if (isHeld()) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      continue;
    }
    if (running.size >= mapping.concurrency) {
      await Promise.race([...running, aborted]);
      continue;
    }
    try {
      const poll = queues.receive(mapping.queueArn, Math.min(10, mapping.batchSize), longPollMs);
      const messages = await Promise.race([poll, aborted]);
      if (messages.length === 0 || signal.aborted) continue;
      if (isHeld()) {
        // Asked for before it was turned off.
        const handles = messages.map(({ receiptHandle }) => receiptHandle);
        await queues.release?.(mapping.queueArn, handles, 0);
        continue;
      }
      const batch = runBatch(mapping, messages, deps, signal)
        .catch((error: unknown) => context.log('event source mapping failed', { error: String(error) }))
        .finally(() => running.delete(batch));
      running.add(batch);
    } catch (error) {
      context.log('queue cannot be polled', { queue: mapping.queueArn, error: String(error) });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  await Promise.all(running);
}

async function runBatch(
  mapping: EventSourceMapping,
  messages: readonly QueueMessage[],
  { context, queues, retryAfterSeconds }: PollDeps,
  stopping: AbortSignal,
): Promise<void> {
  const records = messages.map((message) => ({
    ...message,
    messageAttributes: {},
    eventSource: 'aws:sqs',
    eventSourceARN: mapping.queueArn,
    awsRegion: context.region,
  }));
  let result: InvokeResult;
  try {
    result = await mapping.target.invoke({ Records: records });
  } catch (error) {
    if (!(error instanceof ThrottledError)) throw error;
    // Throttled: the messages come back after the visibility timeout, as at AWS.
    if (!stopping.aborted) return;
    result = { ok: false, error: { errorType: 'Stopped', errorMessage: error.message, trace: [] } };
  }
  const failed = failedMessages(mapping, messages, result);
  const handles = (wanted: boolean): string[] =>
    messages
      .filter(({ messageId }) => failed.has(messageId) === wanted)
      .map(({ receiptHandle }) => receiptHandle);
  await queues.delete(mapping.queueArn, handles(false));
  // What the end of this cloud has cut short is there again at its next start, not a visibility timeout later.
  const seconds = stopping.aborted ? 0 : retryAfterSeconds();
  if (seconds !== undefined) await queues.release?.(mapping.queueArn, handles(true), seconds);
}

/** Ids of the messages that stay in the queue. An answer that makes no sense fails the whole batch, as at AWS. */
export function failedMessages(
  mapping: { readonly partialFailures: boolean },
  messages: readonly { readonly messageId: string }[],
  result: InvokeResult,
): Set<string> {
  const all = new Set(messages.map(({ messageId }) => messageId));
  if (!result.ok) return all;
  if (!mapping.partialFailures) return new Set();
  const failures = (result.payload as { batchItemFailures?: unknown } | null)?.batchItemFailures;
  if (failures === undefined || failures === null) return new Set();
  if (!Array.isArray(failures)) return all;
  const ids = failures.map((item) => (item as { itemIdentifier?: unknown } | null)?.itemIdentifier);
  return ids.every((id) => typeof id === 'string' && all.has(id)) ? new Set(ids as string[]) : all;
}
