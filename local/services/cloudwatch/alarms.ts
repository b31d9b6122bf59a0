import type { CloudContext } from '../../aws/service.ts';
import { AwsError } from '../../aws/service.ts';
import { openStateFile, type StateFile } from '../../aws/state-file.ts';
import type { Topics } from '../sns/topics.ts';
import { evaluate, type Verdict } from './evaluate.ts';
import type { Metrics } from './metrics.ts';
import { type CompositeAlarm, type KnownAlarm, type MetricAlarm, queriesOf, type State } from './model.ts';
import { parseRule } from './rule.ts';

export interface AlarmDeps {
  readonly context: Pick<CloudContext, 'accountId' | 'region' | 'emit' | 'log'>;
  readonly metrics: Metrics;
  readonly topics: Pick<Topics, 'publish'>;
  readonly file: string;
  readonly now: () => number;
}

/** All alarms of the cloud. What they say survives a stop; their metrics do not. */
export class Alarms {
  readonly #deps: AlarmDeps;
  readonly #since: number;
  readonly #file: StateFile<{ alarms: Record<string, KnownAlarm> }>;
  /** How many seconds pass in one second of ours for AWS: in alarms' periods, schedules and ages of messages. */
  speed = 1;

  constructor(deps: AlarmDeps) {
    this.#deps = deps;
    this.#since = deps.now();
    this.#file = openStateFile(deps.file, { alarms: {} });
  }

  arn(name: string): string {
    const { region, accountId } = this.#deps.context;
    return `arn:aws:cloudwatch:${region}:${accountId}:alarm:${name}`;
  }

  all(): KnownAlarm[] {
    return Object.values(this.#file.state.alarms).sort((a, b) =>
      a.alarm.AlarmName < b.alarm.AlarmName ? -1 : 1,
    );
  }

  get(name: string): KnownAlarm | undefined {
    return this.#file.state.alarms[name];
  }

  putMetric(alarm: MetricAlarm): void {
    this.#put(alarm.AlarmName, { kind: 'metric', alarm });
  }

  /** @throws AwsError when the rule is none, or names alarms that do not exist */
  putComposite(alarm: CompositeAlarm): void {
    const { names } = parseRule(alarm.AlarmRule);
    const unknown = names.filter((name) => this.get(name) === undefined);
    if (unknown.length > 0) {
      throw new AwsError('ValidationError', `Could not find alarms ${unknown.join(', ')} of the AlarmRule.`);
    }
    this.#put(alarm.AlarmName, { kind: 'composite', alarm });
  }

  /** All or none. @throws AwsError ResourceNotFound, ValidationError */
  delete(names: readonly string[]): void {
    const missing = names.filter((name) => this.get(name) === undefined);
    if (missing.length > 0) throw new AwsError('ResourceNotFound', `There is no alarm ${missing[0]}.`, 404);
    if (names.filter((name) => this.get(name)?.kind === 'composite').length > 1) {
      throw new AwsError('ValidationError', 'At most one composite alarm can be deleted by one call.');
    }
    for (const name of names) delete this.#file.state.alarms[name];
    this.#file.save();
  }

  /** As a person or a test says; the next evaluation says what is true again. */
  set(name: string, verdict: Verdict): void {
    const known = this.get(name);
    if (known === undefined) throw new AwsError('ResourceNotFound', `There is no alarm ${name}.`, 404);
    this.#turn(known, verdict);
    this.#file.save();
  }

  /** Metrics first: composites are about what those say. */
  evaluate(): void {
    const now = this.#deps.now();
    let changed = false;
    for (const known of this.all()) {
      if (known.kind !== 'metric') continue;
      const verdict = evaluate(known.alarm, this.#deps.metrics, now, this.speed, this.#since);
      if (verdict !== undefined && verdict.state !== known.state) changed = this.#turn(known, verdict);
    }
    for (const known of this.all()) {
      if (known.kind !== 'composite') continue;
      const rule = parseRule(known.alarm.AlarmRule);
      const stateOf = (name: string): State | undefined => this.get(name)?.state;
      const state = rule.holds(stateOf) ? 'ALARM' : 'OK';
      if (state === known.state) continue;
      const on = rule.names.filter((name) => stateOf(name) === 'ALARM');
      const reason = `${known.alarm.AlarmName} is ${state}${on.length > 0 ? `: in alarm are ${on.join(', ')}` : ''}`;
      changed = this.#turn(known, { state, reason });
    }
    if (changed) this.#file.save();
  }

  #put(name: string, definition: Pick<KnownAlarm, 'kind' | 'alarm'>): void {
    const now = this.#deps.now();
    const before = this.get(name);
    if (before !== undefined && before.kind !== definition.kind) {
      throw new AwsError('ValidationError', `There is an alarm ${name} of another kind.`);
    }
    this.#file.state.alarms[name] = {
      arn: this.arn(name),
      state: before?.state ?? 'INSUFFICIENT_DATA',
      reason: before?.reason ?? 'Unchecked: Initial alarm creation',
      stateAt: before?.stateAt ?? now,
      updatedAt: now,
      ...definition,
    } as KnownAlarm;
    this.#file.save();
  }

  #turn(known: KnownAlarm, { state, reason }: Verdict): true {
    const { context, topics } = this.#deps;
    const previous = { value: known.state, reason: known.reason, timestamp: timeOf(known.stateAt) };
    known.state = state;
    known.reason = reason;
    known.stateAt = this.#deps.now();
    const { alarm } = known;
    context.log('alarm', { alarm: alarm.AlarmName, from: previous.value, to: state, reason });
    context.emit({
      source: 'aws.cloudwatch',
      'detail-type': 'CloudWatch Alarm State Change',
      resources: [known.arn],
      detail: {
        alarmName: alarm.AlarmName,
        state: { value: state, reason, timestamp: timeOf(known.stateAt) },
        previousState: previous,
        configuration: configurationOf(known),
      },
    });
    const actions = {
      ALARM: alarm.AlarmActions,
      OK: alarm.OKActions,
      INSUFFICIENT_DATA: alarm.InsufficientDataActions,
    }[state];
    if (alarm.ActionsEnabled) {
      for (const action of actions) {
        topics.publish(action, known.arn, {
          subject: `${state}: "${alarm.AlarmName}"`,
          message: JSON.stringify({
            AlarmName: alarm.AlarmName,
            AlarmDescription: alarm.AlarmDescription ?? null,
            AWSAccountId: context.accountId,
            NewStateValue: state,
            NewStateReason: reason,
            OldStateValue: previous.value,
            StateChangeTime: timeOf(known.stateAt),
            AlarmArn: known.arn,
          }),
        });
      }
    }
    return true;
  }
}

function configurationOf(known: KnownAlarm): Record<string, unknown> {
  if (known.kind === 'composite') {
    return { alarmRule: known.alarm.AlarmRule, description: known.alarm.AlarmDescription };
  }
  const metrics = queriesOf(known.alarm).map(({ Id, MetricStat, Expression, ReturnData }) => ({
    id: Id,
    ...(Expression && { expression: Expression }),
    ...(MetricStat && {
      metricStat: {
        metric: {
          namespace: MetricStat.Metric.Namespace,
          name: MetricStat.Metric.MetricName,
          dimensions: Object.fromEntries(
            MetricStat.Metric.Dimensions.map(({ Name, Value }) => [Name, Value]),
          ),
        },
        period: MetricStat.Period,
        stat: MetricStat.Stat,
      },
    }),
    returnData: ReturnData,
  }));
  return { description: known.alarm.AlarmDescription, metrics };
}

const timeOf = (at: number): string => new Date(at).toISOString().replace('Z', '+0000');
