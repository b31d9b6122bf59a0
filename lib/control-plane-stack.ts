import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { envSchema as apiEnv } from '../lambdas/api/env.ts';
import type { Config } from './config.ts';
import { AlarmTopic } from './constructs/alarm-topic.ts';
import { CellFunctions } from './constructs/cell-functions.ts';
import { ControlFunction } from './constructs/control-function.ts';
import { Dashboards } from './constructs/dashboards.ts';
import { FleetAlarms } from './constructs/fleet-alarms.ts';
import { TenantApi } from './constructs/tenant-api.ts';
import type { OfferedVersions } from './etcd-versions.ts';
import type { FleetStack } from './fleet-stack.ts';
import type { NetworkStack } from './network-stack.ts';
import { apiPolicy } from './policies/api.ts';
import type { StateStack } from './state-stack.ts';

export interface BuiltCell {
  readonly id: string;
  readonly network: NetworkStack;
  readonly fleet: FleetStack;
}

export interface ControlPlaneStackProps extends StackProps {
  readonly config: Config;
  readonly etcdVersions: OfferedVersions;
  readonly state: StateStack;
  readonly cells: readonly BuiltCell[];
}

/** All code that decides: the tenant API of the deployment, and the functions of each cell. */
export class ControlPlaneStack extends Stack {
  constructor(scope: Construct, id: string, props: ControlPlaneStackProps) {
    super(scope, id, props);
    const { config, state } = props;
    const { deploymentName, runbookUrl } = config;
    const { topic } = new AlarmTopic(this, 'Pages', { deploymentName, email: config.alarmEmail });
    const cells = props.cells.map(
      (cell) =>
        new CellFunctions(this, `Cell${cell.id.toUpperCase()}`, {
          config,
          cellId: cell.id,
          network: cell.network,
          fleet: cell.fleet,
          state,
          topicArn: topic.topicArn,
        }),
    );
    const api = new ControlFunction(this, 'Api', {
      name: 'api',
      description: 'tenant API',
      envSchema: apiEnv,
      environment: {
        TABLE_NAME: state.table.tableName,
        KEY_ARN: state.key.keyArn,
        CELLS: `[${cells.map((cell) => cell.document).join(',')}]`,
        ETCD_VERSIONS: JSON.stringify(props.etcdVersions),
        MAX_TENANTS: String(config.maxTenants),
      },
      timeout: Duration.seconds(15),
      statements: apiPolicy(
        { tableArn: state.table.tableArn, keyArn: state.key.keyArn },
        cells.map((cell) => cell.scope),
        state.backupBucketArn,
      ),
      logRetentionDays: config.logRetentionDays,
    });
    const tenantApi = new TenantApi(this, 'TenantApi', {
      handler: api.function,
      logRetentionDays: config.logRetentionDays,
    });
    const watched = {
      deploymentName,
      cells: cells.map(({ queues, functions }, n) => ({ id: props.cells[n]!.id, queues, functions })),
      apiId: tenantApi.api.apiId,
    };
    const alarms = new FleetAlarms(this, 'FleetAlarms', { ...watched, runbookUrl, topic });
    new Dashboards(this, 'Dashboards', { ...watched, alarms });
    new CfnOutput(this, 'PagesTopicArn', { value: topic.topicArn });
    new CfnOutput(this, 'ApiUrl', { value: tenantApi.api.apiEndpoint });
  }
}
