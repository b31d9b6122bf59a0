import * as iam from 'aws-cdk-lib/aws-iam';
import type { CellScope } from './scope.ts';

const allow = (sid: string, actions: string[], resources: string[]) =>
  new iam.PolicyStatement({ sid, actions, resources });

/** The service has no ARN before it is made, so the namespace is the bound. */
export const createNames = (cell: CellScope) =>
  new iam.PolicyStatement({
    sid: 'CreateNames',
    actions: ['servicediscovery:CreateService'],
    resources: ['*'],
    conditions: { StringEquals: { 'servicediscovery:NamespaceArn': cell.namespaceArn } },
  });

export const listAddresses = () => allow('ListAddresses', ['servicediscovery:ListInstances'], ['*']);

export const addAddresses = (cell: CellScope) =>
  allow('AddAddresses', ['servicediscovery:RegisterInstance'], [cell.nameServiceArns]);

export const removeAddresses = (cell: CellScope) =>
  allow('RemoveAddresses', ['servicediscovery:DeregisterInstance'], [cell.nameServiceArns]);

export const deleteNames = (cell: CellScope) =>
  allow('DeleteNames', ['servicediscovery:DeleteService'], [cell.nameServiceArns]);

/**
 * Cloud Map writes the DNS records of a private namespace with the rights of its caller: these three are what AWS's own
 * policy for registering instances (AWSCloudMapRegisterInstanceAccess) has of Route 53, less the health checks.
 */
export const changeRecords = (cell: CellScope) =>
  allow('ChangeRecords', ['route53:ChangeResourceRecordSets'], [cell.hostedZoneArn]);
export const findZone = () =>
  allow('FindZone', ['route53:GetHostedZone', 'route53:ListHostedZonesByName'], ['*']);
