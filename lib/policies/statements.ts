import * as iam from 'aws-cdk-lib/aws-iam';
import type { KeyPurpose } from '../../lambdas/core/ports.ts';
import type { CellScope, StateScope } from './scope.ts';

/**
 * One statement for one right. Every one has a Sid: CDK merges statements without, and then they could neither be
 * reviewed nor taken away one by one.
 */
const allow = (
  sid: string,
  actions: string[],
  resources: string[],
  conditions?: Record<string, Record<string, string | string[]>>,
) => new iam.PolicyStatement({ sid, actions, resources, ...(conditions ? { conditions } : {}) });

const inCluster = (cell: CellScope) => ({ ArnEquals: { 'ecs:cluster': cell.clusterArn } });

/** Table. */
export const readItems = (state: StateScope) => allow('ReadItems', ['dynamodb:GetItem'], [state.tableArn]);
export const listItems = (state: StateScope) => allow('ListItems', ['dynamodb:Query'], [state.tableArn]);
export const writeItems = (state: StateScope) => allow('WriteItems', ['dynamodb:PutItem'], [state.tableArn]);
/** Who lives in a cell: the only items that are changed in place, so that DynamoDB itself keeps them within the limit. */
export const changePlaces = (state: StateScope) =>
  allow('ChangePlaces', ['dynamodb:UpdateItem'], [state.tableArn], {
    'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': 'CELL#*' },
  });
export const deleteItems = (state: StateScope) =>
  allow('DeleteItems', ['dynamodb:DeleteItem'], [state.tableArn]);
export const listTenants = (state: StateScope) =>
  allow('ListTenants', ['dynamodb:Query'], [`${state.tableArn}/index/names`]);
export const listDue = (state: StateScope) =>
  allow('ListDue', ['dynamodb:Query'], [`${state.tableArn}/index/due`]);

/** Key. `purpose` is part of the encryption context, so that the right to one kind of secret is no right to the other. */
const forPurpose = (purposes: readonly KeyPurpose[]) => ({
  StringEquals: {
    'kms:EncryptionContext:purpose': purposes.length === 1 ? (purposes[0] as string) : [...purposes],
  },
});
export const encryptFor = (state: StateScope, ...purposes: KeyPurpose[]) =>
  allow('Encrypt', ['kms:Encrypt'], [state.keyArn], forPurpose(purposes));
export const decryptFor = (state: StateScope, ...purposes: KeyPurpose[]) =>
  allow('Decrypt', ['kms:Decrypt'], [state.keyArn], forPurpose(purposes));

/** Queues. */
export const sendLooks = (cells: readonly CellScope[]) =>
  allow('SendLooks', ['sqs:SendMessage'], [...cells.flatMap((cell) => cell.queueArns)]);

/** Backups. */
export const lendBackups = (cell: CellScope) =>
  allow('LendBackups', ['sts:AssumeRole'], [cell.backupRoleArn]);

/** Tasks. ListTasks knows no resource but container instances: the cluster is its only bound. */
export const runTasks = (cell: CellScope) =>
  allow('RunTasks', ['ecs:RunTask'], [...cell.taskDefinitionArns], inCluster(cell));
export const tagNewTasks = (cell: CellScope) =>
  allow('TagNewTasks', ['ecs:TagResource'], [cell.taskArns], {
    StringEquals: { 'ecs:CreateAction': 'RunTask' },
  });
export const passTaskRoles = (cell: CellScope) =>
  allow('PassTaskRoles', ['iam:PassRole'], [...cell.taskRoleArns], {
    StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
  });
export const passInfrastructureRole = (cell: CellScope) =>
  allow('PassInfrastructureRole', ['iam:PassRole'], [cell.infrastructureRoleArn], {
    StringEquals: { 'iam:PassedToService': 'ecs.amazonaws.com' },
  });
export const describeTasks = (cell: CellScope) =>
  allow('DescribeTasks', ['ecs:DescribeTasks'], [cell.taskArns], inCluster(cell));
export const listTasks = (cell: CellScope) => allow('ListTasks', ['ecs:ListTasks'], ['*'], inCluster(cell));
export const stopTasks = (cell: CellScope) =>
  allow('StopTasks', ['ecs:StopTask'], [cell.taskArns], inCluster(cell));
