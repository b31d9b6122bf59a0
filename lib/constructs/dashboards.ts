import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import {
  metricNamespace,
  type TenantMetric,
  tenantDimension,
  tenantMetrics,
} from '../../lambdas/core/metrics.ts';
import { type FleetAlarms, fleetMetric, type WatchedCell } from './fleet-alarms.ts';

export interface DashboardsProps {
  readonly deploymentName: string;
  readonly alarms: FleetAlarms;
  readonly cells: readonly WatchedCell[];
  readonly apiId: string;
}

const minute = Duration.minutes(1);
const half = 12;
/** What the tenant dashboard shows until a tenant is chosen. */
const anyTenant = 'choose-a-tenant';

/** Two pictures, $3 a month each: the fleet, and one tenant, chosen at the top. */
export class Dashboards extends Construct {
  constructor(scope: Construct, id: string, props: DashboardsProps) {
    super(scope, id);
    const { deploymentName } = props;
    const fleet = new cloudwatch.Dashboard(this, 'Fleet', {
      dashboardName: `${deploymentName}-fleet`,
      defaultInterval: Duration.hours(3),
      widgets: fleetWidgets(props),
    });
    const namespace = metricNamespace(deploymentName);
    const tenant = new cloudwatch.Dashboard(this, 'Tenant', {
      dashboardName: `${deploymentName}-tenant`,
      defaultInterval: Duration.hours(3),
      variables: [
        new cloudwatch.DashboardVariable({
          id: 'tenant',
          type: cloudwatch.VariableType.PROPERTY,
          inputType: cloudwatch.VariableInputType.SELECT,
          label: 'Tenant',
          value: tenantDimension,
          // In quotes, because the name of a deployment may have a hyphen.
          values: cloudwatch.Values.fromSearch(
            `{"${namespace}",${tenantDimension}} MetricName="WriteMargin"`,
            tenantDimension,
          ),
          visible: true,
        }),
      ],
      widgets: tenantWidgets(namespace),
    });
    const { region } = Stack.of(this);
    for (const [name, dashboard] of Object.entries({
      FleetDashboardUrl: fleet,
      TenantDashboardUrl: tenant,
    })) {
      new CfnOutput(Stack.of(this), name, {
        value: `https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${dashboard.dashboardName}`,
      });
    }
  }
}

const graph = (title: string, left: cloudwatch.IMetric[]): cloudwatch.GraphWidget =>
  new cloudwatch.GraphWidget({ title, left, width: half, height: 6 });

function fleetWidgets({ deploymentName, alarms, cells, apiId }: DashboardsProps): cloudwatch.IWidget[][] {
  const http = (metricName: string, statistic: string) =>
    new cloudwatch.Metric({
      namespace: 'AWS/ApiGateway',
      metricName,
      dimensionsMap: { ApiId: apiId },
      statistic,
      period: minute,
    });
  const ofQueues = (pick: (cell: WatchedCell) => cloudwatch.IMetric[]) => cells.flatMap(pick);
  return [
    [
      new cloudwatch.AlarmStatusWidget({
        title: 'Alarms of the fleet',
        alarms: [...alarms.alarms, ...alarms.alone],
        width: 24,
        height: 3,
      }),
    ],
    [
      graph(
        'Tenants, and operations that failed',
        (['Tenants', 'SickTenants', 'OperationsFailed'] as const).map((name) =>
          fleetMetric(deploymentName, name),
        ),
      ),
      graph('API', [http('Count', 'Sum'), http('4xx', 'Sum'), http('5xx', 'Sum')]),
    ],
    [
      graph(
        'Looks that failed for good',
        ofQueues(({ queues }) =>
          queues.dead.map((queue) =>
            queue.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period: minute }),
          ),
        ),
      ),
      graph(
        'Oldest look that waits, seconds',
        ofQueues(({ queues }) =>
          queues.all.map((queue) =>
            queue.metricApproximateAgeOfOldestMessage({ statistic: 'Maximum', period: minute }),
          ),
        ),
      ),
    ],
    [
      graph(
        'Errors of functions',
        cells.flatMap(({ functions }) =>
          functions.map((each) => each.metricErrors({ statistic: 'Sum', period: minute })),
        ),
      ),
      graph(
        'Duration of functions, p99',
        cells.flatMap(({ functions }) =>
          functions.map((each) => each.metricDuration({ statistic: 'p99', period: minute })),
        ),
      ),
    ],
  ];
}

function tenantWidgets(namespace: string): cloudwatch.IWidget[][] {
  const widgets = (Object.keys(tenantMetrics) as TenantMetric[]).map(
    (metricName) =>
      new cloudwatch.GraphWidget({
        title: `${metricName}: ${tenantMetrics[metricName].says}`,
        left: [
          new cloudwatch.Metric({
            namespace,
            metricName,
            dimensionsMap: { [tenantDimension]: anyTenant },
            statistic: tenantMetrics[metricName].worst,
            period: minute,
          }),
        ],
        width: half,
        height: 6,
      }),
  );
  return Array.from({ length: Math.ceil(widgets.length / 2) }, (_, row) =>
    widgets.slice(2 * row, 2 * row + 2),
  );
}
