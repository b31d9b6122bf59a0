import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { StateScope } from './scope.ts';
import { listTenants } from './statements.ts';

/** Counts and names tenants, and sees nothing else of them. */
export const guardPolicy = (state: StateScope): PolicyStatement[] => [listTenants(state)];
