/**
 * Calls of the control plane in one hour, as the real code makes them. Written by `npm run bench -- cost`; do not edit.
 */
export interface Calls {
  /** Invocations of functions by messages and by the schedule. */
  readonly looks: number;
  /** Of those, the ones that ask nannies. */
  readonly nannyLooks: number;
  /** Invocations of join: reports, renewals and so on. */
  readonly joins: number;
  readonly messages: number;
  /** Capacity units by the size of each item; strong reads whole, index queries half. */
  readonly dynamoReadUnits: number;
  readonly dynamoWriteUnits: number;
  readonly s3Lists: number;
  /** Free of charge, but throttled by AWS. */
  readonly ecs: number;
  readonly ec2: number;
  readonly cloudMap: number;
}

export const metered: Readonly<Record<'idle' | 'busy' | 'fleet', Calls>> = {
  idle: {
    looks: 22,
    nannyLooks: 21,
    joins: 0,
    messages: 22,
    dynamoReadUnits: 51,
    dynamoWriteUnits: 234,
    s3Lists: 0,
    ecs: 26,
    ec2: 0,
    cloudMap: 0,
  },
  busy: {
    looks: 22,
    nannyLooks: 21,
    joins: 0,
    messages: 22,
    dynamoReadUnits: 51,
    dynamoWriteUnits: 234,
    s3Lists: 0,
    ecs: 26,
    ec2: 0,
    cloudMap: 0,
  },
  fleet: {
    looks: 60,
    nannyLooks: 0,
    joins: 0,
    messages: 0,
    dynamoReadUnits: 570.5,
    dynamoWriteUnits: 0,
    s3Lists: 0,
    ecs: 0,
    ec2: 6,
    cloudMap: 0,
  },
};
