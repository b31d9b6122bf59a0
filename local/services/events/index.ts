import { randomUUID } from 'node:crypto';
import { physicalName } from '../../aws/names.ts';
import type {
  BusEvent,
  CloudContext,
  QueueAccess,
  ServiceModule,
  TemplateResource,
} from '../../aws/service.ts';
import type { Iam } from '../../iam/iam.ts';
import type { Invoker } from '../lambda/index.ts';
import { compilePattern, type Matcher } from './pattern.ts';

export interface EventsDeps {
  readonly iam: Iam;
  readonly queues: () => QueueAccess;
  readonly functions: Invoker;
  /** Whether somebody has turned the rule of this name off. */
  readonly isSilent: (rule: string) => boolean;
  /** How many seconds of a schedule pass in one second of ours. */
  readonly speed: () => number;
}

interface Rule {
  readonly name: string;
  readonly arn: string;
  readonly matches?: Matcher;
  readonly everyMs?: number;
  readonly targets: readonly { readonly Arn: string; readonly Input?: string }[];
}

export interface EventBus {
  /** Delivers to all rules that match; returns at once, as PutEvents does. */
  emit(event: BusEvent): void;
}

/** Asynchronous invocations of a function that fails are tried again twice (AWS waits 1 and 2 minutes). */
const retryDelaysMs = [1000, 2000];

/** No schedule is finer than a minute. */
const tickMs = 500;

/** EventBridge: rules on the default bus and rate() schedules. */
export function createEvents(context: CloudContext, deps: EventsDeps): ServiceModule & EventBus {
  const rules = new Map<string, Rule>();
  const timers = new Map<string, NodeJS.Timeout>();
  const deliveries = new Set<Promise<void>>();
  let stopped = false;
  let started = false;

  async function deliver(rule: Rule, event: object): Promise<void> {
    for (const { Arn: arn, Input } of rule.targets) {
      const body = Input ?? JSON.stringify(event);
      try {
        if (arn.startsWith('arn:aws:sqs:')) {
          deps.iam.requireService('events.amazonaws.com', {
            action: 'sqs:SendMessage',
            resource: arn,
            context: { 'aws:SourceArn': rule.arn },
          });
          await deps.queues().put(arn, body);
        } else await invoke(rule, arn, JSON.parse(body));
      } catch (error) {
        context.log('event not delivered', { rule: rule.arn, target: arn, error: String(error) });
      }
    }
  }

  async function invoke(rule: Rule, arn: string, event: unknown): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const by = { service: 'events.amazonaws.com', sourceArn: rule.arn };
      const result = await deps.functions.invoke(arn, event, by);
      const delay = retryDelaysMs[attempt];
      if (result.ok || delay === undefined || stopped) return;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  function fire(rule: Rule, event: BusEvent): void {
    const envelope = {
      version: '0',
      id: randomUUID(),
      'detail-type': event['detail-type'],
      source: event.source,
      account: context.accountId,
      time: new Date().toISOString().replace(/\.\d{3}/, ''),
      region: context.region,
      resources: event.resources,
      detail: event.detail,
    };
    if (deps.isSilent(rule.name) || (rule.matches && !rule.matches(envelope))) return;
    const delivery = deliver(rule, envelope).finally(() => deliveries.delete(delivery));
    deliveries.add(delivery);
  }

  function provisionRule(resource: TemplateResource) {
    const { properties } = resource;
    const name: string = properties.Name ?? physicalName(resource);
    const arn = `arn:aws:events:${context.region}:${context.accountId}:rule/${name}`;
    if (properties.EventBusName && properties.EventBusName !== 'default')
      throw new Error('the local cloud has the default bus only');
    forget(arn);
    if (properties.State !== 'DISABLED') {
      const rule = {
        name,
        arn,
        matches: properties.EventPattern ? compilePattern(properties.EventPattern) : undefined,
        everyMs: properties.ScheduleExpression ? rate(properties.ScheduleExpression) : undefined,
        targets: (properties.Targets ?? []).map(checkTarget),
      };
      rules.set(arn, rule);
      if (started) schedule(rule);
    }
    return { ref: name, attributes: { Arn: arn } };
  }

  function forget(arn: string): void {
    rules.delete(arn);
    clearInterval(timers.get(arn));
    timers.delete(arn);
  }

  function schedule(rule: Rule): void {
    const { everyMs } = rule;
    if (!everyMs) return;
    const event = {
      source: 'aws.events',
      'detail-type': 'Scheduled Event',
      detail: {},
      resources: [rule.arn],
    };
    let next = everyMs;
    const tick = (): void => {
      next -= tickMs * deps.speed();
      if (next > 0) return;
      next += everyMs;
      fire({ ...rule, matches: undefined }, event);
    };
    timers.set(rule.arn, setInterval(tick, tickMs));
  }

  return {
    services: [],
    providers: [
      {
        types: ['AWS::Events::Rule'],
        provision: async (resource) => provisionRule(resource),
        remove: async ({ attributes }) => forget(attributes?.Arn ?? ''),
      },
    ],
    emit(event) {
      if (stopped) return;
      for (const rule of rules.values()) if (rule.matches) fire(rule, event);
    },
    async start() {
      started = true;
      for (const rule of rules.values()) schedule(rule);
    },
    async stop() {
      stopped = true;
      for (const timer of timers.values()) clearInterval(timer);
      await Promise.all(deliveries);
    },
  };
}

/** @throws Error for what this cloud would otherwise silently leave out */
function checkTarget(target: Record<string, unknown>): { Arn: string; Input?: string } {
  const known = new Set(['Arn', 'Id', 'Input', 'RetryPolicy', 'DeadLetterConfig']);
  const unknown = Object.keys(target).filter((name) => !known.has(name));
  if (unknown.length > 0) throw new Error(`the local cloud does not know ${unknown.join(', ')} of a target`);
  const arn = String(target.Arn);
  if (!/^arn:aws:(sqs|lambda):/.test(arn))
    throw new Error(`the local cloud has no targets such as ${arn}: only SQS queues and Lambda functions`);
  return { Arn: arn, Input: target.Input as string | undefined };
}

/** @throws Error for anything but `rate(n minute(s)|hour(s)|day(s))` */
export function rate(expression: string): number {
  const match = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression);
  if (!match) throw new Error(`the local cloud only knows rate() schedules, not ${expression}`);
  const unit = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }[match[2] as 'minute' | 'hour' | 'day'];
  return Number(match[1]) * unit;
}
