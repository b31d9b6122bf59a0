import type { AlarmsOf } from './alarms.ts';
import type { FleetFigures, TenantFigures } from './metrics.ts';
import type { Backup } from './model/backup.ts';
import type { Duty } from './model/duties.ts';
import type { Grave } from './model/grave.ts';
import type { Operation, OperationKind, TimelineEvent } from './model/operation.ts';
import type { Places, TenantPlace } from './model/place.ts';
import type { Rollout } from './model/rollout.ts';
import type { SizeClass } from './model/spec.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { SickTenant } from './storm.ts';
import type {
  BackupOrder,
  HashKvAnswer,
  NannyStatus,
  RenewOrder,
  SnapshotProgress,
  SnapshotRequest,
  SwapRequest,
} from './wire/admin.ts';
import type { IssuedCertificates, NannyLeafRole } from './wire/join.ts';
import type { StorageAnswer } from './wire/work.ts';

/** Everything the pure heart needs of the world. Adapters implement these; tests bring their own. */

export interface Clock {
  now(): Date;
  sleep(ms: number): Promise<void>;
}

export interface Ids {
  /** Sorts by time (ULID). */
  ulid(): string;
  /** `m` and 8 random characters. */
  memberName(): string;
  /** 128 random bits, hex: etcd's initial-cluster-token. */
  clusterToken(): string;
}

export interface Log {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** Metrics, in CloudWatch within a minute or two. May be lost; nothing is decided by what was put. */
export interface MetricSink {
  tenant(tenantId: string, figures: TenantFigures): void;
  fleet(figures: FleetFigures): void;
}

/** CloudWatch's alarms of tenants, told apart by their names. */
export interface TenantAlarms {
  /** Makes, changes and removes until the tenant has exactly these. Idempotent. @returns how many calls changed something */
  ensure(tenantId: string, wanted: AlarmsOf | undefined): Promise<number>;
  /** Ids of all tenants that have alarms, with or without a record. */
  tenants(): Promise<string[]>;
}

export interface Page<T> {
  readonly items: T[];
  /** Opaque; absent on the last page. */
  readonly cursor?: string;
}

export interface TenantStore {
  /** Strongly consistent. */
  get(tenantId: string): Promise<TenantRecord | undefined>;
  /** @throws ConflictError when the tenant exists */
  create(record: TenantRecord): Promise<void>;
  /**
   * Saves `next` if the stored recordVersion is still `expectedVersion`. `next.recordVersion` is expectedVersion + 1.
   * @throws ConflictError
   */
  save(next: TenantRecord, expectedVersion: number): Promise<void>;
  /** Deletes the tenant item only. @throws ConflictError */
  remove(tenantId: string, expectedVersion: number): Promise<void>;
  /** Tenant ids in name order, eventually consistent. */
  list(options: { limit: number; cursor?: string }): Promise<Page<string>>;
  /** Number of tenants, eventually consistent: for quotas. */
  count(): Promise<number>;
  /** Ids whose nextCheckAt is not after `now`, from one shard (0..15) of the due index. */
  due(options: { cell: string; shard: number; now: Date; limit: number }): Promise<string[]>;

  /** What has ended is never opened again: of two that write of it, one may be late. Then nothing is written. */
  putOperation(operation: Operation): Promise<void>;
  getOperation(tenantId: string, operationId: string): Promise<Operation | undefined>;
  /** Newest first. */
  listOperations(tenantId: string, options: { limit: number; cursor?: string }): Promise<Page<Operation>>;
  appendEvent(event: TimelineEvent): Promise<void>;
  /** Newest first. */
  listEvents(tenantId: string, options: { limit: number; cursor?: string }): Promise<Page<TimelineEvent>>;

  /**
   * One of the few destructive steps that a cell may do a minute (S8, `grantToken`). The same key again, within 10
   * minutes, takes none. @returns whether there was one
   */
  takeDestructiveToken(cell: string, key: string, now: Date): Promise<boolean>;
  /** The tenant turned sick at that time, or is well again (undefined). */
  noteSick(cell: string, tenantId: string, since: Date | undefined): Promise<void>;
  /** Tenants of the cell that are sick now. */
  sickTenants(cell: string): Promise<SickTenant[]>;
  /** Number of the cell's tenants, eventually consistent. */
  countInCell(cell: string): Promise<number>;
  /** Ids of the cell's tenants, in no order, eventually consistent. */
  idsInCell(cell: string): Promise<string[]>;

  /** Who has a place in the cell. Strongly consistent. */
  places(cell: string): Promise<Places>;
  /**
   * Takes a place, or says anew what the tenant takes. One atomic write: of many at once none goes beyond `atMost`.
   * @param atMost tenants of the cell, with this one
   * @returns false when there is no room
   */
  takePlace(cell: string, tenantId: string, place: TenantPlace, atMost: number): Promise<boolean>;
  /** Harmless when it has none; with `at`, also when it has taken one at another time. */
  leavePlace(cell: string, tenantId: string, at?: string): Promise<void>;

  /** The newest fleet patch, whatever its state. Strongly consistent. */
  getRollout(): Promise<Rollout | undefined>;
  /**
   * @param expectedVersion recordVersion of the rollout that is stored now; 0: there is none
   * @throws ConflictError when it is another
   */
  saveRollout(next: Rollout, expectedVersion: number): Promise<void>;

  /** Writes or replaces the manifest. */
  putBackup(backup: Backup): Promise<void>;
  /** All of the tenant, newest first; also of a tenant that has been deleted. Strongly consistent. */
  listBackups(tenantId: string): Promise<Backup[]>;
  /** One of them, strongly consistent. */
  getBackup(tenantId: string, backupId: string): Promise<Backup | undefined>;
  /** The manifest only. Harmless when gone. */
  removeBackup(tenantId: string, backupId: string): Promise<void>;

  /** Writes or replaces it. */
  bury(grave: Grave): Promise<void>;
  getGrave(tenantId: string): Promise<Grave | undefined>;
  /** Ids of deleted tenants whose `nextCheckAt` is not after `now`. */
  dueGraves(options: { cell: string; now: Date; limit: number }): Promise<string[]>;
  /** Harmless when gone. */
  removeGrave(tenantId: string): Promise<void>;

  /** What an earlier request with this Idempotency-Key did, if any (kept 24 hours). */
  getIdempotent(tenantId: string, key: string): Promise<IdempotentRecord | undefined>;
  putIdempotent(tenantId: string, key: string, record: IdempotentRecord): Promise<void>;
}

/** Names in the backup bucket. The control plane cannot read what is in them. */
export interface BackupObjects {
  /** In the order of their names; `after` is left out itself. */
  list(prefix: string, options?: { readonly after?: string }): Promise<StoredObject[]>;
  exists(key: string): Promise<boolean>;
  /** Harmless when gone. The bucket keeps former versions for a while. */
  remove(keys: readonly string[]): Promise<void>;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
}

/** The right to the objects of one tenant, lent for an hour. */
export interface StorageAccess {
  lend(request: StorageGrant): Promise<StorageAnswer>;
}

export interface StorageGrant {
  readonly cell: Cell;
  readonly tenantId: string;
  /** Whose: a member or a worker. */
  readonly borrower: string;
  /** May be read besides all of the tenant's own (`tenantPrefix`); each ends with a slash. */
  readonly alsoReads: readonly string[];
}

/** Disks of tasks (EBS, `volume: ebs`) and copies of them, by the tags that they were made with. Eventually consistent. */
export interface Volumes {
  /** Every one of the tenant, attached ones too. Oldest first. */
  list(cell: Cell, tenantId: string): Promise<Disk[]>;
  /** Every one of the cell that no task has, whoever's. */
  listKept(cell: Cell): Promise<Disk[]>;
  /**
   * A copy that a task can be started with. Idempotent by volume and purpose: an older copy may hold less.
   * @returns undefined when the volume is gone
   */
  copy(
    cell: Cell,
    disk: Disk,
    purpose: string,
  ): Promise<{ readonly snapshotId: string; readonly ready: boolean } | undefined>;
  /** With its copies. Harmless when gone. */
  remove(cell: Cell, volumeId: string): Promise<void>;
}

export interface Disk {
  readonly volumeId: string;
  /** `attached`: a task has it, or it is still on its way off one. `gone`: only copies of it are left. */
  readonly state: 'attached' | 'kept' | 'gone';
  readonly tenantId: string;
  /** Of the member that it belonged to; or of a worker. */
  readonly memberName: string;
  readonly createdAt: string;
}

export interface IdempotentRecord {
  /** SHA-256 of method, path and body. */
  readonly requestHash: string;
  readonly status: number;
  readonly body: string;
}

export type { Duty };

export interface Dispatcher {
  /** "Look at tenant X": no command, may be lost, doubled, reordered. Delay in whole seconds, 0..900. */
  look(tenantId: string, duty: Duty, delaySeconds?: number): Promise<void>;
  /** "Look at the fleet patch", to the sweep. As little a command, and as harmless when lost or doubled. */
  lookAtFleet(): Promise<void>;
}

/** One data-plane unit, as the stacks built it. */
export interface Cell {
  readonly id: string;
  readonly clusterArn: string;
  /** One task definition per volume kind: a configuredAtLaunch volume must be configured at every launch. */
  readonly taskDefinitions: { readonly ebs: string; readonly ephemeral: string };
  readonly containerName: string;
  /** Exactly three private subnets, one a zone. */
  readonly subnets: readonly { readonly zone: string; readonly subnetId: string }[];
  readonly securityGroupId: string;
  /** Role with which ECS manages the EBS volume. */
  readonly infrastructureRoleArn: string;
  readonly namespaceId: string;
  /** Cloud Map namespace, e.g. `etcd-nanny.internal`; a tenant's name is `<tenantId>.<namespaceName>`. */
  readonly namespaceName: string;
  /** S3 bucket of snapshots. */
  readonly backupBucket: string;
  /** Role with the rights to the cell's part of it; join lends them out, narrowed to one tenant. */
  readonly backupRoleArn: string;
  /** Where "look at tenant X" of this cell is sent: URL of one SQS queue per duty. */
  readonly queues: Readonly<Record<Duty, string>>;
}

export interface LaunchRequest {
  readonly cell: Cell;
  readonly tenantId: string;
  readonly memberName: string;
  readonly zone: string;
  readonly size: SizeClass;
  readonly storageGiB: number;
  readonly volume: 'ebs' | 'ephemeral';
  /** Its EBS volume stays when the task has ended, until `Volumes.remove`. @default it goes with the task */
  readonly keepDisk?: boolean;
  /** No member: a task that does a `WorkOrder` (wire/work.ts). It is told so by `NANNY_WORK`. */
  readonly work?: {
    /** The task's disk begins as this copy of a kept one; with volume `ebs` only. */
    readonly snapshotId?: string;
  };
}

export interface TaskView {
  readonly taskArn: string;
  /** PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED. */
  readonly lastStatus: string;
  readonly desiredStatus: string;
  readonly privateIp?: string;
  readonly stopCode?: string;
  readonly stoppedReason?: string;
  /** Tag `etcd-nanny:member`. */
  readonly memberName?: string;
  /** Tag `etcd-nanny:tenant`. */
  readonly tenantId?: string;
}

export interface TaskRuntime {
  /**
   * Idempotent by member name (clientToken `<tenantId>-<memberName>`).
   * @throws TransientError when throttled or out of capacity
   */
  launch(request: LaunchRequest): Promise<{ taskArn: string }>;
  /** Tasks ECS no longer knows are left out. Eventually consistent. */
  describe(cell: Cell, taskArns: readonly string[]): Promise<TaskView[]>;
  /** All tasks of the tenant that are not STOPPED, by startedBy `etcd-nanny/<tenantId>`. */
  list(cell: Cell, tenantId: string): Promise<string[]>;
  /** Harmless when already stopped or unknown. */
  stop(cell: Cell, taskArn: string, reason: string): Promise<void>;
}

/** The nanny's admin API. Every call that changes something carries the fence of the lease. */
export interface NannyClient {
  /** @throws TransientError when it cannot be reached within about 2 s */
  status(target: NannyTarget): Promise<NannyStatus>;
  addLearner(target: NannyTarget, fence: number, peerUrl: string): Promise<{ etcdId: string }>;
  promote(target: NannyTarget, fence: number, etcdId: string): Promise<void>;
  removeMember(target: NannyTarget, fence: number, etcdId: string): Promise<void>;
  moveLeadership(target: NannyTarget, fence: number, toEtcdId: string): Promise<void>;
  compact(target: NannyTarget, fence: number, revision: number): Promise<void>;
  /** Blocks that member: about 1 s for 100 MB (etcd-facts, measured). */
  defragment(target: NannyTarget, fence: number): Promise<void>;
  disarm(target: NannyTarget, fence: number): Promise<{ disarmed: number }>;
  hashKv(target: NannyTarget, revision: number): Promise<HashKvAnswer>;
  /** Starts or follows the upload of a snapshot under this key: ask again until `done` or `failed`. */
  snapshot(target: NannyTarget, fence: number, request: SnapshotRequest): Promise<SnapshotProgress>;
  /** Makes this member the backup holder, or ends that. */
  backup(target: NannyTarget, fence: number, order: BackupOrder): Promise<void>;
  downgrade(
    target: NannyTarget,
    fence: number,
    action: 'validate' | 'enable' | 'cancel',
    version: string,
  ): Promise<void>;
  /** Stops etcd and starts another version's binary on the same disk, with these arguments. */
  swap(target: NannyTarget, fence: number, request: SwapRequest): Promise<void>;
  /** Certificates of this authority, etcd restarted if it does not trust exactly these. */
  renew(target: NannyTarget, fence: number, order: RenewOrder): Promise<void>;
}

export interface NannyTarget {
  readonly tenant: TenantRecord;
  readonly ip: string;
}

/** Cloud Map. */
export interface NameRegistry {
  /** Creates the tenant's name if missing; idempotent by tenantId. */
  ensureService(cell: Cell, tenantId: string): Promise<{ serviceId: string }>;
  register(serviceId: string, memberName: string, ip: string): Promise<void>;
  /** Harmless when not registered. */
  deregister(serviceId: string, memberName: string): Promise<void>;
  /** Member name → IP as registered now. */
  listInstances(serviceId: string): Promise<Record<string, string>>;
  /** Deregister all instances first. Harmless when gone. */
  deleteService(serviceId: string): Promise<void>;
}

/** KMS with the tenant as encryption context. `purpose` is in the context too, so IAM can tell the keys apart. */
export interface KeyVault {
  encrypt(tenantId: string, purpose: KeyPurpose, plaintext: string): Promise<string>;
  decrypt(tenantId: string, purpose: KeyPurpose, ciphertext: string): Promise<string>;
}
export type KeyPurpose = 'ca' | 'control-plane';

export interface CertificateAuthority {
  /** PEM, self-signed CA certificate. */
  readonly certificate: string;
  /** PKCS#8 PEM. */
  readonly key: string;
}

export interface NewAuthority extends CertificateAuthority {
  readonly validFrom: string;
  readonly validUntil: string;
}

export interface MemberIdentity {
  readonly tenantId: string;
  readonly memberName: string;
  readonly ip: string;
  /** `<tenantId>.<namespaceName>`. */
  readonly dnsName: string;
}

/** X.509 (design §10). Implemented without AWS. */
export interface Pki {
  createAuthority(tenantId: string): Promise<NewAuthority>;
  /** SHA-256 of a certificate (DER), hex. */
  fingerprint(certificate: string): string;
  /** Certificate and key of the control plane for one tenant: CN and OU `control-plane`, as long as its CA, clientAuth. */
  createControlPlaneLeaf(
    ca: CertificateAuthority,
    tenantId: string,
  ): Promise<{ certificate: string; key: string }>;
  /** Whether `signMemberLeaves` would take them. @throws InvalidRequestError naming the CSR that is bad */
  checkMemberRequests(csrs: Readonly<Record<NannyLeafRole, string>>): Promise<void>;
  /**
   * Leaves of one member, 30 days. The CSRs' own subjects are ignored; their signatures are checked.
   * @throws InvalidRequestError naming the CSR that is bad
   */
  signMemberLeaves(
    ca: CertificateAuthority,
    identity: MemberIdentity,
    csrs: Readonly<Record<NannyLeafRole, string>>,
    caBundle: string,
  ): Promise<IssuedCertificates>;
  /**
   * A tenant's client certificate: CN = etcd user, OU `tenant-client`, clientAuth.
   * @throws InvalidRequestError for a bad CSR, a weak key, or a reserved name
   */
  signClient(
    ca: CertificateAuthority,
    user: string,
    csr: string,
    ttlSeconds: number,
  ): Promise<ClientCertificate>;
  /** Key pair made for callers who bring no CSR, and the CSR for it. */
  createClientKey(user: string): Promise<{ key: string; csr: string }>;
}

export interface ClientCertificate {
  readonly certificate: string;
  readonly notAfter: string;
  /** Hex, lower case. */
  readonly serialNumber: string;
}

export type { OperationKind };
