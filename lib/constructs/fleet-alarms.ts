import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { runbookOf } from '../../lambdas/core/alarms.ts';
import { type FleetMetric, fleetMetrics, metricNamespace } from '../../lambdas/core/metrics.ts';
import type { LookQueues } from './look-queues.ts';

export interface WatchedCell {
  readonly id: string;
  readonly queues: LookQueues;
  readonly functions: readonly lambda.IFunction[];
}

export interface FleetAlarmsProps {
  readonly deploymentName: string;
  readonly runbookUrl: string;
  readonly topic: sns.ITopic;
  readonly cells: readonly WatchedCell[];
  readonly apiId: string;
}

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
/** A look may be delayed by 15 minutes; one that is twice as old, nobody takes. */
const oldestSeconds = 30 * 60;
/** One failed call is tried again and tells nothing. */
const fewErrors = 4;
const { GREATER_THAN_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;
const { BREACHING, NOT_BREACHING } = cloudwatch.TreatMissingData;

/** What keeps tenants' pages back: on as long as a storm, and `stormEchoMinutes` longer. */
export const stormEchoName = (deploymentName: string): string => `${deploymentName}-storm-echo`;
/** Until the slowest alarm of a tenant has seen that it is well again (0103): five minutes a period, and a repair before. */
const stormEchoMinutes = 15;

export const fleetMetric = (deploymentName: string, metricName: FleetMetric): cloudwatch.Metric =>
  new cloudwatch.Metric({
    namespace: metricNamespace(deploymentName),
    metricName,
    statistic: fleetMetrics[metricName].worst,
    period: minute,
  });

/** Of several metrics at once: CloudWatch takes ten at most. */
const over = (
  how: 'SUM' | 'MAX',
  metrics: readonly cloudwatch.IMetric[],
  period: Duration,
): cloudwatch.MathExpression =>
  new cloudwatch.MathExpression({
    expression: `${how}(METRICS())`,
    usingMetrics: Object.fromEntries(metrics.map((metric, n) => [`m${n}`, metric])),
    period,
  });

interface AlarmOf {
  /** Construct id. */
  readonly id: string;
  /** Part of its name, and of the name of its runbook. */
  readonly name: string;
  readonly runbook?: string;
  readonly says: string;
  readonly metric: cloudwatch.IMetric;
  readonly above?: number;
  readonly below?: number;
  readonly periods?: number;
  /** Of those periods; all unless told otherwise. */
  readonly datapoints?: number;
}

/**
 * What is wrong with the control plane itself. One fault of it shows in several of these, so they only page together; a storm is a
 * matter of the tenants, and pages by itself.
 */
export class FleetAlarms extends Construct {
  readonly alarms: readonly cloudwatch.Alarm[];
  readonly storm: cloudwatch.Alarm;
  /** Those that page by themselves. */
  readonly alone: readonly cloudwatch.Alarm[];

  constructor(scope: Construct, id: string, props: FleetAlarmsProps) {
    super(scope, id);
    const { deploymentName, runbookUrl, topic, cells } = props;
    const make = ({
      id: constructId,
      name,
      runbook = name,
      says,
      metric,
      above,
      below,
      periods = 1,
      datapoints,
    }: AlarmOf) =>
      new cloudwatch.Alarm(this, constructId, {
        alarmName: `${deploymentName}-${name}`,
        alarmDescription: `${says} What to do: ${runbookOf(runbookUrl, runbook)}`,
        metric,
        threshold: above ?? below ?? 0,
        comparisonOperator: above === undefined ? LESS_THAN_THRESHOLD : GREATER_THAN_THRESHOLD,
        evaluationPeriods: periods,
        ...(datapoints !== undefined && { datapointsToAlarm: datapoints }),
        treatMissingData: above === undefined ? BREACHING : NOT_BREACHING,
      });

    const ofCells = cells.flatMap(({ id: cell, queues, functions }) => {
      const suffix = cell.toUpperCase();
      return [
        make({
          id: `DeadLetters${suffix}`,
          name: `${cell}-dead-letters`,
          runbook: 'dead-letters',
          says: `Looks at tenants of cell ${cell} have failed for good.`,
          metric: over(
            'SUM',
            queues.dead.map((queue) =>
              queue.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period: minute }),
            ),
            minute,
          ),
          above: 0,
        }),
        make({
          id: `OldMessages${suffix}`,
          name: `${cell}-old-messages`,
          runbook: 'old-messages',
          says: `Looks at tenants of cell ${cell} wait, and nobody takes them.`,
          metric: over(
            'MAX',
            queues.all.map((queue) =>
              queue.metricApproximateAgeOfOldestMessage({ statistic: 'Maximum', period: minute }),
            ),
            minute,
          ),
          above: oldestSeconds,
          periods: 3,
        }),
        make({
          id: `FunctionErrors${suffix}`,
          name: `${cell}-function-errors`,
          runbook: 'function-errors',
          says: `Functions of cell ${cell} fail, again and again.`,
          metric: over(
            'SUM',
            functions.map((each) => each.metricErrors({ statistic: 'Sum', period: fiveMinutes })),
            fiveMinutes,
          ),
          above: fewErrors,
        }),
      ];
    });
    this.alarms = [
      ...ofCells,
      make({
        id: 'ApiErrors',
        name: 'api-errors',
        says: 'The tenant API answers 5xx.',
        metric: new cloudwatch.Metric({
          namespace: 'AWS/ApiGateway',
          metricName: '5xx',
          dimensionsMap: { ApiId: props.apiId },
          statistic: 'Sum',
          period: fiveMinutes,
        }),
        above: fewErrors,
      }),
      make({
        id: 'OperationsFailed',
        name: 'operations-failed',
        says: 'Three operations have ended without success within a quarter of an hour.',
        metric: fleetMetric(deploymentName, 'OperationsFailed').with({
          statistic: 'Sum',
          period: Duration.minutes(15),
        }),
        above: 2,
      }),
      make({
        id: 'SweepSilent',
        name: 'sweep-silent',
        says: 'Nobody looks at tenants any more: no round of the sweep for five minutes.',
        metric: fleetMetric(deploymentName, 'SweepRounds').with({ statistic: 'Sum', period: fiveMinutes }),
        below: 1,
      }),
    ];
    const page = new SnsAction(topic);
    const together = new cloudwatch.CompositeAlarm(this, 'ControlPlane', {
      compositeAlarmName: `${deploymentName}-control-plane`,
      alarmDescription: `The control plane needs a person: which of its alarms is on tells why. What to do: ${runbookOf(runbookUrl, 'README')}`,
      alarmRule: cloudwatch.AlarmRule.anyOf(
        ...this.alarms.map((alarm) => cloudwatch.AlarmRule.fromAlarm(alarm, cloudwatch.AlarmState.ALARM)),
      ),
    });
    together.addAlarmAction(page);
    together.addOkAction(page);

    this.storm = make({
      id: 'StormStop',
      name: 'storm-stop',
      says: 'So many tenants turned sick at once that repairs were stopped, all but those of lost quorums (S8).',
      metric: fleetMetric(deploymentName, 'StormStop'),
      above: 0,
    });
    make({
      id: 'StormEcho',
      name: 'storm-echo',
      runbook: 'storm-stop',
      says: `There was a storm within the last ${stormEchoMinutes} minutes: tenants' own pages are kept back. It pages nobody.`,
      metric: fleetMetric(deploymentName, 'StormStop'),
      above: 0,
      periods: stormEchoMinutes,
      datapoints: 1,
    });
    const patchStopped = make({
      id: 'PatchStopped',
      name: 'fleet-patch-stopped',
      says: 'The fleet patch has stopped by itself: a tenant that it reached is not well.',
      metric: fleetMetric(deploymentName, 'PatchStopped'),
      above: 0,
    });
    this.alone = [this.storm, patchStopped];
    for (const alarm of this.alone) {
      alarm.addAlarmAction(page);
      alarm.addOkAction(page);
    }
  }
}
