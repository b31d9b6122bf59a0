import { Duration, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type * as z from 'zod';
import { envSchema as alarmsEnv } from '../../lambdas/alarms/env.ts';
import { envSchema as backupEnv } from '../../lambdas/backup/env.ts';
import { alarmNamePrefix } from '../../lambdas/core/alarms.ts';
import { metricNamespace } from '../../lambdas/core/metrics.ts';
import type { Duty } from '../../lambdas/core/ports.ts';
import { envSchema as createEnv } from '../../lambdas/create/env.ts';
import { envSchema as deleteEnv } from '../../lambdas/delete/env.ts';
import { envSchema as joinEnv } from '../../lambdas/join/env.ts';
import { envSchema as patchEnv } from '../../lambdas/patch/env.ts';
import { envSchema as remediateEnv } from '../../lambdas/remediate/env.ts';
import { envSchema as restoreEnv } from '../../lambdas/restore/env.ts';
import { envSchema as scaleEnv } from '../../lambdas/scale/env.ts';
import { envSchema as sweepEnv } from '../../lambdas/sweep/env.ts';
import { apiCellDocument, cellDocument, cellScope } from '../cell.ts';
import type { Config } from '../config.ts';
import type { FleetStack } from '../fleet-stack.ts';
import type { NetworkStack } from '../network-stack.ts';
import { alarmsPolicy } from '../policies/alarms.ts';
import { backupPolicy } from '../policies/backup.ts';
import { createPolicy } from '../policies/create.ts';
import { deletePolicy } from '../policies/delete.ts';
import { joinPolicy } from '../policies/join.ts';
import { patchPolicy } from '../policies/patch.ts';
import { remediatePolicy } from '../policies/remediate.ts';
import { restorePolicy } from '../policies/restore.ts';
import { scalePolicy } from '../policies/scale.ts';
import type { CellScope, StateScope } from '../policies/scope.ts';
import { sweepPolicy } from '../policies/sweep.ts';
import type { StateStack } from '../state-stack.ts';
import { alarmArns } from './alarm-topic.ts';
import { BackupAccess } from './backup-access.ts';
import { ControlFunction, type EnvironmentOf } from './control-function.ts';
import { stormEchoName } from './fleet-alarms.ts';
import { JoinRoutes } from './join-routes.ts';
import { LookQueues, lookTimeout } from './look-queues.ts';

export interface CellFunctionsProps {
  readonly config: Config;
  readonly cellId: string;
  readonly network: NetworkStack;
  readonly fleet: FleetStack;
  readonly state: StateStack;
  /** Topic that alarms of tenants page. */
  readonly topicArn: string;
}

/** The part of the control plane that works on one cell: its queues and the functions that serve them. */
export class CellFunctions extends Construct {
  readonly queues: LookQueues;
  /** As JSON, for the api function's environment CELLS. */
  readonly apiDocument: string;
  /** Cell as JSON: environment CELL. */
  readonly document: string;
  readonly scope: CellScope;
  readonly functions: readonly lambda.Function[];
  /** Of each function, by its name as part of an output's. */
  readonly logGroups: Readonly<Record<string, ILogGroup>>;

  constructor(scope: Construct, id: string, props: CellFunctionsProps) {
    super(scope, id);
    const { config, fleet, network, state } = props;
    const logGroups: Record<string, ILogGroup> = {};
    this.logGroups = logGroups;
    this.queues = new LookQueues(this, 'Queues');
    const backups = new BackupAccess(this, 'BackupAccess', {
      cellId: props.cellId,
      bucketArn: state.backupBucketArn,
      keyArn: state.key.keyArn,
    });
    this.apiDocument = Stack.of(this).toJsonString(
      apiCellDocument(props.cellId, fleet, this.queues, state.backups.bucketName),
    );
    this.document = Stack.of(this).toJsonString(
      cellDocument(props.cellId, network, fleet, this.queues.urls, {
        bucket: state.backups.bucketName,
        roleArn: backups.role.roleArn,
      }),
    );
    this.scope = cellScope(props.cellId, fleet, this.queues, backups.role.roleArn);

    const stateScope: StateScope = { tableArn: state.table.tableArn, keyArn: state.key.keyArn };
    const logRetentionDays = config.logRetentionDays;
    const inVpc = { vpc: network.vpc, securityGroup: network.functionSecurityGroup };
    const { deploymentName } = config;
    const namespace = metricNamespace(deploymentName);
    const shared = { TABLE_NAME: state.table.tableName, CELL: this.document };
    const record = { ...shared, METRICS_NAMESPACE: namespace };
    const sealed = { ...record, KEY_ARN: state.key.keyArn };

    const join = new ControlFunction(this, 'Join', {
      name: 'join',
      description: 'admits nannies and takes their reports',
      envSchema: joinEnv,
      environment: { ...shared, KEY_ARN: state.key.keyArn },
      timeout: Duration.seconds(15),
      statements: joinPolicy(stateScope, this.scope),
      logRetentionDays,
    });
    logGroups.Join = join.logGroup;
    backups.lentBy(join.role);
    new JoinRoutes(this, 'JoinRoutes', { address: fleet.joinAddress, handler: join.function });

    // All of these call nannies, which listen inside the VPC only.
    const worker = <S extends z.ZodObject>(
      duty: Duty,
      description: string,
      envSchema: S,
      environment: EnvironmentOf<S>,
      statements: PolicyStatement[],
      network: { readonly network?: typeof inVpc } = { network: inVpc },
    ) => {
      const name = `${duty[0]?.toUpperCase()}${duty.slice(1)}`;
      const { function: worker, logGroup } = new ControlFunction(this, name, {
        name: duty,
        description,
        envSchema,
        environment,
        timeout: lookTimeout,
        statements,
        logRetentionDays,
        ...network,
      });
      logGroups[name] = logGroup;
      // One pass over one tenant can take its time: a batch of one keeps tenants from waiting for each other.
      const batchSize = duty === 'sweep' ? 5 : 1;
      const queue = this.queues.byDuty[duty];
      worker.addEventSource(new SqsEventSource(queue, { batchSize, reportBatchItemFailures: true }));
      return worker;
    };
    const policy = (of: (state: StateScope, cell: CellScope) => PolicyStatement[]) =>
      of(stateScope, this.scope);
    const create = worker('create', 'makes clusters', createEnv, sealed, policy(createPolicy));
    const remove = worker('delete', 'takes clusters down', deleteEnv, record, policy(deletePolicy));
    const scale = worker('scale', 'grows, shrinks and replaces', scaleEnv, sealed, policy(scalePolicy));
    const patch = worker('patch', 'brings clusters to other versions', patchEnv, sealed, policy(patchPolicy));
    const restore = worker(
      'restore',
      'makes clusters what they were',
      restoreEnv,
      sealed,
      policy(restorePolicy),
    );
    const bucket = { bucketArn: state.backupBucketArn, cellId: props.cellId };
    const healing = remediatePolicy(stateScope, this.scope, bucket);
    const remediate = worker('remediate', 'heals clusters', remediateEnv, sealed, healing);
    const backing = backupPolicy(stateScope, this.scope, bucket);
    const backup = worker('backup', 'backs clusters up and proves it', backupEnv, sealed, backing);
    const sweep = worker('sweep', 'looks at every tenant in time', sweepEnv, sealed, policy(sweepPolicy));
    const alarms = worker(
      'alarms',
      'makes and removes the alarms of tenants',
      alarmsEnv,
      {
        TABLE_NAME: state.table.tableName,
        DEPLOYMENT_NAME: deploymentName,
        METRICS_NAMESPACE: namespace,
        TOPIC_ARN: props.topicArn,
        RUNBOOK_URL: config.runbookUrl,
        PAGE_AFTER_MINUTES: String(config.pageAfterMinutes),
        STORM_ALARM: stormEchoName(deploymentName),
      },
      alarmsPolicy(stateScope, {
        tenantAlarmArns: alarmArns(Stack.of(this), `${alarmNamePrefix(deploymentName)}*`),
        allAlarmArns: alarmArns(Stack.of(this), '*'),
      }),
      // It calls no nanny, and CloudWatch has no endpoint in the VPC: one would cost more than all alarms of a dozen tenants.
      {},
    );
    const { function: joining } = join;
    this.functions = [joining, create, remove, scale, patch, restore, remediate, backup, sweep, alarms];

    new events.Rule(this, 'TaskEvents', {
      // A task that comes up tells of itself through join: its steps there would only cost messages.
      description: 'etcd-nanny: tasks of the cell have stopped',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: { clusterArn: [fleet.cluster.clusterArn], lastStatus: ['STOPPED'] },
      },
      targets: [new targets.SqsQueue(this.queues.byDuty.sweep)],
    });
    // Fargate tells of a task's end days before. Tasks without a service are named one by one, by their ARNs.
    new events.Rule(this, 'TaskRetirements', {
      description: 'etcd-nanny: Fargate is going to stop tasks of the cell',
      eventPattern: {
        source: ['aws.health'],
        detailType: ['AWS Health Event'],
        resources: events.Match.prefix(fleet.taskArnPrefix),
        detail: { service: ['ECS'], eventTypeCode: ['AWS_ECS_TASK_PATCHING_RETIREMENT'] },
      },
      targets: [new targets.SqsQueue(this.queues.byDuty.sweep)],
    });
    new events.Rule(this, 'AlarmChanges', {
      description: 'etcd-nanny: an alarm of a tenant has changed its state',
      eventPattern: {
        source: ['aws.cloudwatch'],
        detailType: ['CloudWatch Alarm State Change'],
        detail: { alarmName: events.Match.prefix(alarmNamePrefix(deploymentName)) },
      },
      targets: [new targets.SqsQueue(this.queues.byDuty.sweep)],
    });
    new events.Rule(this, 'EveryMinute', {
      description: 'etcd-nanny: safety net under lost events',
      schedule: events.Schedule.rate(Duration.minutes(1)),
      targets: [new targets.LambdaFunction(sweep)],
    });
    new events.Rule(this, 'EveryHour', {
      description: 'etcd-nanny: alarms of tenants that are gone',
      schedule: events.Schedule.rate(Duration.hours(1)),
      targets: [new targets.LambdaFunction(alarms)],
    });
  }
}
