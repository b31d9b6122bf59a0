import * as iam from 'aws-cdk-lib/aws-iam';

export interface NannyScope {
  readonly joinRouteArns: readonly string[];
}

/**
 * What a nanny may do besides serving etcd: ask the control plane, which knows which task it is. One role serves all
 * tenants of a cell, so it has no right to anything of a tenant; backups are lent by join (docs/decisions/0073).
 */
export const nannyPolicy = (scope: NannyScope): iam.PolicyStatement[] => [
  new iam.PolicyStatement({
    sid: 'CallJoin',
    actions: ['execute-api:Invoke'],
    resources: [...scope.joinRouteArns],
  }),
];
