import { Duration, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import { envSchema as createEnv } from '../../lambdas/create/env.ts';
import { envSchema as deleteEnv } from '../../lambdas/delete/env.ts';
import { envSchema as joinEnv } from '../../lambdas/join/env.ts';
import { envSchema as sweepEnv } from '../../lambdas/sweep/env.ts';
import { cellDocument, cellScope } from '../cell.ts';
import type { Config } from '../config.ts';
import type { FleetStack } from '../fleet-stack.ts';
import type { NetworkStack } from '../network-stack.ts';
import { createPolicy } from '../policies/create.ts';
import { deletePolicy } from '../policies/delete.ts';
import { joinPolicy } from '../policies/join.ts';
import type { CellScope, StateScope } from '../policies/scope.ts';
import { sweepPolicy } from '../policies/sweep.ts';
import type { StateStack } from '../state-stack.ts';
import { ControlFunction } from './control-function.ts';
import { JoinRoutes } from './join-routes.ts';
import { LookQueues, lookTimeout } from './look-queues.ts';

export interface CellFunctionsProps {
  readonly config: Config;
  readonly cellId: string;
  readonly network: NetworkStack;
  readonly fleet: FleetStack;
  readonly state: StateStack;
}

/** The part of the control plane that works on one cell: its queues and the functions that serve them. */
export class CellFunctions extends Construct {
  readonly queues: LookQueues;
  /** Cell as JSON: environment CELL. */
  readonly document: string;
  readonly scope: CellScope;

  constructor(scope: Construct, id: string, props: CellFunctionsProps) {
    super(scope, id);
    const { config, fleet, network, state } = props;
    this.queues = new LookQueues(this, 'Queues');
    this.document = Stack.of(this).toJsonString(
      cellDocument(props.cellId, network, fleet, this.queues.urls, state.backups.bucketName),
    );
    this.scope = cellScope(fleet, this.queues);

    const stateScope: StateScope = { tableArn: state.table.tableArn, keyArn: state.key.keyArn };
    const logRetentionDays = config.logRetentionDays;
    const inVpc = { vpc: network.vpc, securityGroup: network.functionSecurityGroup };
    const record = { TABLE_NAME: state.table.tableName, CELL: this.document };
    const sealed = { ...record, KEY_ARN: state.key.keyArn };

    const join = new ControlFunction(this, 'Join', {
      name: 'join',
      description: 'admits nannies and takes their reports',
      envSchema: joinEnv,
      environment: sealed,
      timeout: Duration.seconds(15),
      statements: joinPolicy(stateScope, this.scope),
      logRetentionDays,
    });
    new JoinRoutes(this, 'JoinRoutes', { address: fleet.joinAddress, handler: join.function });

    const create = new ControlFunction(this, 'Create', {
      name: 'create',
      description: 'makes clusters',
      envSchema: createEnv,
      environment: sealed,
      timeout: lookTimeout,
      statements: createPolicy(stateScope, this.scope),
      logRetentionDays,
      network: inVpc,
    });
    const remove = new ControlFunction(this, 'Delete', {
      name: 'delete',
      description: 'takes clusters down',
      envSchema: deleteEnv,
      environment: record,
      timeout: lookTimeout,
      statements: deletePolicy(stateScope, this.scope),
      logRetentionDays,
      network: inVpc,
    });
    const sweep = new ControlFunction(this, 'Sweep', {
      name: 'sweep',
      description: 'looks at every tenant in time',
      envSchema: sweepEnv,
      environment: sealed,
      timeout: lookTimeout,
      statements: sweepPolicy(stateScope, this.scope),
      logRetentionDays,
      network: inVpc,
    });

    // One pass over one tenant can take its time: a batch of one keeps tenants from waiting for each other.
    const source = (queue: LookQueues['all'][number], batchSize: number) =>
      new SqsEventSource(queue, { batchSize, reportBatchItemFailures: true });
    create.function.addEventSource(source(this.queues.byDuty.create, 1));
    remove.function.addEventSource(source(this.queues.byDuty.delete, 1));
    sweep.function.addEventSource(source(this.queues.byDuty.sweep, 5));

    new events.Rule(this, 'TaskEvents', {
      description: 'etcd-nanny: tasks of the cell start and stop',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: { clusterArn: [fleet.cluster.clusterArn] },
      },
      targets: [new targets.SqsQueue(this.queues.byDuty.sweep)],
    });
    new events.Rule(this, 'EveryMinute', {
      description: 'etcd-nanny: safety net under lost events',
      schedule: events.Schedule.rate(Duration.minutes(1)),
      targets: [new targets.LambdaFunction(sweep.function)],
    });
  }
}
