/** ARNs that the statements are made of. Plain strings (or tokens), so that policies can be read and tested alone. */
export interface StateScope {
  readonly tableArn: string;
  readonly keyArn: string;
}

export interface CellScope {
  readonly cellId: string;
  readonly clusterArn: string;
  /** ARN pattern of all tasks: each statement with it is bound to the cluster by a condition. */
  readonly taskArns: string;
  /** ARN patterns of the two task definition families, any revision. */
  readonly taskDefinitionArns: readonly string[];
  /** Task role and execution role. */
  readonly taskRoleArns: readonly string[];
  readonly infrastructureRoleArn: string;
  readonly namespaceArn: string;
  /** ARN pattern of Cloud Map services in this account and Region: their ids are not known before they exist. */
  readonly nameServiceArns: string;
  readonly hostedZoneArn: string;
  /** ARN patterns of EBS volumes and their snapshots: each statement with them is bound by tag. */
  readonly volumeArns: string;
  readonly snapshotArns: string;
  /** Role that join lends out, by tenant. */
  readonly backupRoleArn: string;
  /** "Look at tenant X" queues. */
  readonly queueArns: readonly string[];
}
