import * as iam from 'aws-cdk-lib/aws-iam';
import type { StateScope } from './scope.ts';
import { readItems, writeItems } from './statements.ts';

export interface AlarmScope {
  /** ARN pattern of the alarms of this deployment's tenants, and of no others. */
  readonly tenantAlarmArns: string;
  /** ARN pattern of all alarms of the account and Region. */
  readonly allAlarmArns: string;
}

/** Makes and removes tenants' alarms, and reads what tenants used. It calls nobody else, and cannot touch an alarm of the fleet. */
export const alarmsPolicy = (state: StateScope, scope: AlarmScope): iam.PolicyStatement[] => [
  readItems(state),
  // That a tenant's alarms are as they are to be; the size its load asks for, and that a resize begins.
  writeItems(state),
  new iam.PolicyStatement({
    sid: 'ListAlarms',
    actions: ['cloudwatch:DescribeAlarms'],
    resources: [scope.allAlarmArns],
  }),
  new iam.PolicyStatement({
    sid: 'WriteTenantAlarms',
    actions: ['cloudwatch:PutMetricAlarm', 'cloudwatch:PutCompositeAlarm', 'cloudwatch:DeleteAlarms'],
    resources: [scope.tenantAlarmArns],
  }),
  new iam.PolicyStatement({ sid: 'ReadMetrics', actions: ['cloudwatch:GetMetricData'], resources: ['*'] }),
];
