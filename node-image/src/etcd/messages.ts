import { bool, bytes, id, int64, list, message, nested, type Of, string, strings, uint32 } from './codec.ts';

/**
 * The part of etcd's gRPC API (api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto) that the nanny speaks: field numbers
 * are the same in 3.5, 3.6 and 3.7.
 */
const header = message({ clusterId: id(1), memberId: id(2), revision: int64(3), raftTerm: int64(4) });
const headerOnly = message({ header: nested(1, header) });
const empty = message({});

export const keyValue = message({
  key: bytes(1),
  createRevision: int64(2),
  modRevision: int64(3),
  version: int64(4),
  value: bytes(5),
  lease: int64(6),
});
export const rangeRequest = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: int64(3),
  revision: int64(4),
  serializable: bool(7),
  keysOnly: bool(8),
  countOnly: bool(9),
});
export const rangeResponse = message({
  header: nested(1, header),
  kvs: list(2, keyValue),
  more: bool(3),
  count: int64(4),
});
export const putRequest = message({ key: bytes(1), value: bytes(2), lease: int64(3), prevKv: bool(4) });
export const putResponse = message({ header: nested(1, header), prevKv: nested(2, keyValue) });
export const deleteRangeRequest = message({ key: bytes(1), rangeEnd: bytes(2), prevKv: bool(3) });
export const deleteRangeResponse = message({ header: nested(1, header), deleted: int64(2) });
/** `result`: 0 equal, 1 greater, 2 less, 3 not equal. `target`: 0 version, 1 create, 2 mod, 3 value, 4 lease. */
export const compare = message({
  result: uint32(1),
  target: uint32(2),
  key: bytes(3),
  version: int64(4),
  createRevision: int64(5),
  modRevision: int64(6),
  value: bytes(7),
});
/** Exactly one of the fields is set. */
export const requestOp = message({
  range: nested(1, rangeRequest),
  put: nested(2, putRequest),
  deleteRange: nested(3, deleteRangeRequest),
});
export const responseOp = message({
  range: nested(1, rangeResponse),
  put: nested(2, putResponse),
  deleteRange: nested(3, deleteRangeResponse),
});
export const txnRequest = message({
  compare: list(1, compare),
  success: list(2, requestOp),
  failure: list(3, requestOp),
});
export const txnResponse = message({
  header: nested(1, header),
  succeeded: bool(2),
  responses: list(3, responseOp),
});
export const compactionRequest = message({ revision: int64(1), physical: bool(2) });

export const member = message({
  id: id(1),
  name: string(2),
  peerUrls: strings(3),
  clientUrls: strings(4),
  isLearner: bool(5),
});
export type EtcdMember = Of<typeof member>;
const memberIdRequest = message({ id: id(1) });
const membersResponse = message({ header: nested(1, header), members: list(2, member) });

/** `action`: 0 get, 1 activate, 2 deactivate. `alarm`: 0 none, 1 NOSPACE, 2 CORRUPT. */
const alarmRequest = message({ action: uint32(1), memberId: id(2), alarm: uint32(3) });
const alarmMember = message({ memberId: id(1), alarm: uint32(2) });
const statusResponse = message({
  header: nested(1, header),
  version: string(2),
  dbSize: int64(3),
  leader: id(4),
  raftIndex: int64(5),
  raftTerm: int64(6),
  raftAppliedIndex: int64(7),
  errors: strings(8),
  dbSizeInUse: int64(9),
  isLearner: bool(10),
  storageVersion: string(11),
  dbSizeQuota: int64(12),
  /** 3.6 and later. */
  downgradeInfo: nested(13, message({ enabled: bool(1), targetVersion: string(2) })),
});
export type StatusResponse = Of<typeof statusResponse>;

/** `remainingBytes` is what follows this blob, without the 32 bytes of the hash. */
const snapshotResponse = message({ header: nested(1, header), remainingBytes: int64(2), blob: bytes(3) });

/** `type`: 0 put, 1 delete (of a deleted key only `key` and `modRevision` are set). */
const event = message({ type: uint32(1), kv: nested(2, keyValue) });
export type EtcdEvent = Of<typeof event>;
const watchRequest = message({
  create: nested(
    1,
    message({
      key: bytes(1),
      rangeEnd: bytes(2),
      startRevision: int64(3),
      progressNotify: bool(4),
      /** Answers of about the largest request at most: of what is caught up etcd puts 1,000 revisions into one else. */
      fragment: bool(8),
    }),
  ),
});
/** `compactRevision` is set when what was asked for is gone; without events it is a progress notification. */
const watchResponse = message({
  header: nested(1, header),
  created: bool(3),
  canceled: bool(4),
  compactRevision: int64(5),
  cancelReason: string(6),
  /** More of the same follows: the last revision in it may not be whole. */
  fragment: bool(7),
  events: list(11, event),
});
export type WatchResponse = Of<typeof watchResponse>;

const kv = '/etcdserverpb.KV/';
const leases = '/etcdserverpb.Lease/';
const cluster = '/etcdserverpb.Cluster/';
const maintenance = '/etcdserverpb.Maintenance/';

/** Every call the nanny makes: gRPC path, request, response. */
export const calls = {
  range: { path: `${kv}Range`, request: rangeRequest, response: rangeResponse },
  put: { path: `${kv}Put`, request: putRequest, response: putResponse },
  deleteRange: { path: `${kv}DeleteRange`, request: deleteRangeRequest, response: deleteRangeResponse },
  txn: { path: `${kv}Txn`, request: txnRequest, response: txnResponse },
  compact: { path: `${kv}Compact`, request: compactionRequest, response: headerOnly },
  memberAdd: {
    path: `${cluster}MemberAdd`,
    request: message({ peerUrls: strings(1), isLearner: bool(2) }),
    response: message({ header: nested(1, header), member: nested(2, member), members: list(3, member) }),
  },
  memberRemove: { path: `${cluster}MemberRemove`, request: memberIdRequest, response: membersResponse },
  memberUpdate: {
    path: `${cluster}MemberUpdate`,
    request: message({ id: id(1), peerUrls: strings(2) }),
    response: membersResponse,
  },
  memberList: {
    path: `${cluster}MemberList`,
    request: message({ linearizable: bool(1) }),
    response: membersResponse,
  },
  memberPromote: { path: `${cluster}MemberPromote`, request: memberIdRequest, response: membersResponse },
  leaseGrant: {
    path: `${leases}LeaseGrant`,
    request: message({ ttl: int64(1), id: int64(2) }),
    response: message({ header: nested(1, header), id: int64(2), ttl: int64(3), error: string(4) }),
  },
  /** `ttl` is what is left of it, −1 when there is no such lease. */
  leaseTimeToLive: {
    path: `${leases}LeaseTimeToLive`,
    request: message({ id: int64(1) }),
    response: message({ header: nested(1, header), id: int64(2), ttl: int64(3), grantedTtl: int64(4) }),
  },
  leaseList: {
    path: `${leases}LeaseLeases`,
    request: empty,
    response: message({ header: nested(1, header), leases: list(2, message({ id: int64(1) })) }),
  },
  /** A stream to etcd, which answers each request of it: with one it is a call like all others. */
  leaseKeepAlive: {
    path: `${leases}LeaseKeepAlive`,
    request: message({ id: int64(1) }),
    response: message({ header: nested(1, header), id: int64(2), ttl: int64(3) }),
  },
  alarm: {
    path: `${maintenance}Alarm`,
    request: alarmRequest,
    response: message({ header: nested(1, header), alarms: list(2, alarmMember) }),
  },
  status: { path: `${maintenance}Status`, request: empty, response: statusResponse },
  defragment: { path: `${maintenance}Defragment`, request: empty, response: headerOnly },
  hash: {
    path: `${maintenance}Hash`,
    request: empty,
    response: message({ header: nested(1, header), hash: uint32(2) }),
  },
  hashKv: {
    path: `${maintenance}HashKV`,
    request: message({ revision: int64(1) }),
    response: message({
      header: nested(1, header),
      hash: uint32(2),
      compactRevision: int64(3),
      hashRevision: int64(4),
    }),
  },
  moveLeader: {
    path: `${maintenance}MoveLeader`,
    request: message({ targetId: id(1) }),
    response: headerOnly,
  },
  /** `action`: 0 validate, 1 enable, 2 cancel. */
  downgrade: {
    path: `${maintenance}Downgrade`,
    request: message({ action: uint32(1), version: string(2) }),
    response: message({ header: nested(1, header), version: string(2) }),
  },
} as const;

/** Calls that etcd answers with many messages. */
export const streams = {
  snapshot: { path: `${maintenance}Snapshot`, request: empty, response: snapshotResponse },
  watch: { path: '/etcdserverpb.Watch/Watch', request: watchRequest, response: watchResponse },
} as const;
