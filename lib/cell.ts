import { ArnFormat, Fn, Stack } from 'aws-cdk-lib';
import type * as z from 'zod';
import type { apiCellSchema } from '../lambdas/core/model/cell.ts';
import { duties } from '../lambdas/core/model/duties.ts';
import type { Cell } from '../lambdas/core/ports.ts';
import type { LookQueues } from './constructs/look-queues.ts';
import { memberContainerName } from './constructs/member-task.ts';
import type { FleetStack } from './fleet-stack.ts';
import type { NetworkStack } from './network-stack.ts';
import type { CellScope } from './policies/scope.ts';

/** The cell as its functions see it (environment CELL). */
export function cellDocument(
  id: string,
  network: NetworkStack,
  fleet: FleetStack,
  queues: Cell['queues'],
  backups: { readonly bucket: string; readonly roleArn: string },
): Cell {
  return {
    id,
    clusterArn: fleet.cluster.clusterArn,
    taskDefinitions: {
      ebs: fleet.tasks.ebs.definition.taskDefinitionArn,
      ephemeral: fleet.tasks.ephemeral.definition.taskDefinitionArn,
    },
    containerName: memberContainerName,
    subnets: network.zones,
    securityGroupId: network.taskSecurityGroup.securityGroupId,
    infrastructureRoleArn: fleet.roles.infrastructure.roleArn,
    namespaceId: fleet.namespace.namespaceId,
    namespaceName: fleet.namespace.namespaceName,
    queues,
    backupBucket: backups.bucket,
    backupRoleArn: backups.roleArn,
  };
}

/** The cell as the api function sees it (an entry of its environment CELLS): see apiCellSchema. */
export function apiCellDocument(id: string, fleet: FleetStack, queues: LookQueues, backupBucket: string) {
  const first = queues.byDuty[duties[0]].queueUrl;
  const parts = [0, 1, 2, 3].map((part) => Fn.select(part, Fn.split('/', first)));
  return {
    id,
    taskDefinitions: {
      ebs: fleet.tasks.ebs.definition.taskDefinitionArn,
      ephemeral: fleet.tasks.ephemeral.definition.taskDefinitionArn,
    },
    namespaceName: fleet.namespace.namespaceName,
    backupBucket,
    queueBase: Fn.join('/', parts),
    queueNames: duties.map((duty) => queues.byDuty[duty].queueName),
  } satisfies z.input<typeof apiCellSchema>;
}

/** The cell as the policies see it. */
export function cellScope(
  cellId: string,
  fleet: FleetStack,
  queues: LookQueues,
  backupRoleArn: string,
): CellScope {
  const stack = Stack.of(fleet);
  const { NO_RESOURCE_NAME, SLASH_RESOURCE_NAME } = ArnFormat;
  const arn = (service: string, resource: string, resourceName: string) =>
    stack.formatArn({ service, resource, resourceName, arnFormat: SLASH_RESOURCE_NAME });
  return {
    cellId,
    clusterArn: fleet.cluster.clusterArn,
    taskArns: arn('ecs', 'task', '*'),
    taskDefinitionArns: fleet.taskDefinitionFamilies.map((family) =>
      arn('ecs', 'task-definition', `${family}:*`),
    ),
    taskRoleArns: [fleet.roles.task.roleArn, fleet.roles.execution.roleArn],
    infrastructureRoleArn: fleet.roles.infrastructure.roleArn,
    namespaceArn: fleet.namespace.namespaceArn,
    nameServiceArns: arn('servicediscovery', 'service', '*'),
    hostedZoneArn: stack.formatArn({
      service: 'route53',
      region: '',
      account: '',
      resource: `hostedzone/${fleet.namespace.namespaceHostedZoneId}`,
      arnFormat: NO_RESOURCE_NAME,
    }),
    volumeArns: arn('ec2', 'volume', '*'),
    snapshotArns: stack.formatArn({
      service: 'ec2',
      account: '',
      resource: 'snapshot',
      resourceName: '*',
      arnFormat: SLASH_RESOURCE_NAME,
    }),
    backupRoleArn,
    queueArns: queues.all.map((queue) => queue.queueArn),
  };
}
