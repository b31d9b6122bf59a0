/** What no meter tells: each figure that a price is multiplied with and that is neither asked for nor metered. */
export const assumptions = {
  /** Memory of every function (lib/constructs/control-function.ts). */
  lambdaGB: 0.5,
  /** Billed time of one look, seconds: a call or two to nannies, a save. */
  lookSeconds: 0.3,
  /** Of one report or join. */
  joinSeconds: 0.15,
  /** Keys of a tenant are opened once a worker: of so many looks one meets a worker that is new to the tenant. */
  looksPerDecrypt: 10,
  /** Lambda's own lines and ours, a look. */
  logBytesPerCall: 1_200,
  /** Lambda polls each queue with five long polls of 20 s, all the time. */
  pollsPerQueueHour: 5 * 180,
  /** Requests of people and tools to the provisioning API, a tenant and day. */
  apiCallsPerDay: 50,
  /** One task a day restores a backup and compares: minutes. */
  drillMinutes: 5,
  /** Of the change stream, compressed. */
  deltaRatio: 0.5,
  /** What Raft and TLS add to a written value, and what etcd sends along. */
  replicationOverhead: 1.3,
  /** Clients read about this often what they have written. */
  readsPerWrite: 5,
  /** Fulls at rest: an hour's, 24 hourly, 7 daily, 5 weekly; and what retention let go, kept for a week as former versions. */
  fullsKept: 1 + 24 + 7 + 5,
  fullsFormer: 24 * 7,
  /** Records, operations, events and manifests of one tenant. */
  tableMB: 2,
  /** Lines that nanny and etcd log, a member and hour. */
  memberLogBytesPerHour: 200_000,
  /** Interface endpoints of a cell (lib/constructs/cell-endpoints.ts), in three zones each. */
  interfaceEndpoints: 9,
  zones: 3,
  /** Queues of a cell that Lambda polls. */
  queues: 9,
  /** By the advice on sizes, an hour. */
  metricsAsked: 3,
  /** Besides the composite that pages. */
  fleetAlarms: 9,
  dashboards: 2,
} as const;
