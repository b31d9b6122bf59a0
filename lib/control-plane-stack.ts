import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type * as z from 'zod';
import { envSchema as apiEnv, type authoritySchema } from '../lambdas/api/env.ts';
import type { Config } from './config.ts';
import { AlarmTopic } from './constructs/alarm-topic.ts';
import { CellFunctions } from './constructs/cell-functions.ts';
import { ControlFunction } from './constructs/control-function.ts';
import { Dashboards } from './constructs/dashboards.ts';
import { FleetAlarms } from './constructs/fleet-alarms.ts';
import { TenantApi } from './constructs/tenant-api.ts';
import { TenantGuard } from './constructs/tenant-guard.ts';
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
    // Three cells are 830 kB with indentation, and CloudFormation takes 1 MB.
    super(scope, id, { ...props, suppressTemplateIndentation: true });
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
        CELLS: `[${cells.map((cell) => cell.apiDocument).join(',')}]`,
        ETCD_VERSIONS: JSON.stringify(props.etcdVersions),
        MAX_TENANTS: String(config.maxTenants),
        AUTHORITY: JSON.stringify(authorityOf(config)),
        MAX_TENANTS_PER_CELL: String(config.maxTenantsPerCell),
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
      jwt: config.jwt,
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
    new CfnOutput(this, 'AccessLogGroup', { value: tenantApi.accessLog.logGroupName });
    this.tellLogGroup('Api', api.logGroup);
    for (const [index, cell] of cells.entries()) {
      const prefix = props.cells[index]?.id.toUpperCase();
      for (const [name, logGroup] of Object.entries(cell.logGroups))
        this.tellLogGroup(`${prefix}${name}`, logGroup);
    }
    const guard = new TenantGuard(this, 'TenantGuard', { state, config });
    this.tellLogGroup('TenantGuard', guard.logGroup);
    guard.goesFirst();
  }

  private tellLogGroup(name: string, logGroup: ILogGroup): void {
    new CfnOutput(this, `${name}LogGroup`, { value: logGroup.logGroupName });
  }
}

/** How the api function learns what a caller may touch. */
function authorityOf({ jwt }: Config): z.input<typeof authoritySchema> {
  if (jwt === undefined) return { kind: 'iam' };
  return { kind: 'jwt', tenantsClaim: jwt.tenantsClaim, adminScope: jwt.adminScope };
}
