import { Lazy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { type BackupScope, backupAccessPolicy } from '../policies/backup-access.ts';
import { acknowledgeWildcards } from '../policies/wildcards.ts';

/** The role whose sessions, each narrowed to one tenant, are how nannies reach the backup bucket. */
export class BackupAccess extends Construct {
  readonly role: iam.Role;
  #lender: iam.IRole | undefined;

  constructor(scope: Construct, id: string, props: BackupScope) {
    super(scope, id);
    // Named late: the function that lends carries this role's ARN in its environment.
    const lender = Lazy.string({ produce: () => this.#lender?.roleArn });
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ArnPrincipal(lender),
      description: 'etcd-nanny: backups of the cell, lent to nannies by tenant',
    });
    const statements = backupAccessPolicy(props);
    for (const statement of statements) this.role.addToPolicy(statement);
    acknowledgeWildcards(this.role, statements);
  }

  /** The only one who may assume the role. */
  lentBy(role: iam.IRole): void {
    this.#lender = role;
  }
}
