import { CustomResource, Duration, Stack } from 'aws-cdk-lib';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { envSchema } from '../../lambdas/guard/env.ts';
import type { Config } from '../config.ts';
import { guardPolicy } from '../policies/guard.ts';
import type { StateStack } from '../state-stack.ts';
import { ControlFunction } from './control-function.ts';

export interface TenantGuardProps {
  readonly state: StateStack;
  readonly config: Pick<Config, 'destroyWithTenants' | 'logRetentionDays'>;
}

/**
 * A custom resource whose deletion fails while tenants live. In the control plane's stack, because that one goes first in
 * every order that CDK destroys in, and without it nobody could delete the tenants any more.
 */
export class TenantGuard extends Construct {
  readonly logGroup: ILogGroup;
  readonly #resource: CustomResource;

  constructor(scope: Construct, id: string, { state, config }: TenantGuardProps) {
    super(scope, id);
    const guard = new ControlFunction(this, 'Guard', {
      name: 'guard',
      description: 'refuses the deletion of the control plane while tenants live',
      envSchema,
      environment: { TABLE_NAME: state.table.tableName },
      timeout: Duration.seconds(60),
      statements: guardPolicy({ tableArn: state.table.tableArn, keyArn: state.key.keyArn }),
      logRetentionDays: config.logRetentionDays,
    });
    this.logGroup = guard.logGroup;
    this.#resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::TenantGuard',
      serviceToken: guard.function.functionArn,
      serviceTimeout: Duration.minutes(5),
      properties: { DestroyWithTenants: config.destroyWithTenants },
    });
  }

  /**
   * CloudFormation deletes in parallel what does not depend on each other. The guard depends on all that has been built in
   * its stack until now, so that it is asked before anything is gone.
   */
  goesFirst(): void {
    const others = Stack.of(this).node.children.filter((child) => child !== this);
    this.#resource.node.addDependency(...others);
  }
}
