import type { EtcdStatus } from '../../../lambdas/core/wire/admin.ts';
import type { Message } from './codec.ts';
import { EtcdError, fromGrpcStatus } from './errors.ts';
import { type ClientTls, GrpcConnection } from './grpc.ts';
import { calls, type EtcdMember, type StatusResponse, streams, type WatchResponse } from './messages.ts';

type Calls = typeof calls;
type RequestOf<K extends keyof Calls> = Calls[K]['request'] extends Message<infer T> ? Partial<T> : never;
type ResponseOf<K extends keyof Calls> = Calls[K]['response'] extends Message<infer T> ? T : never;

/**
 * etcd gives up on a change after 5 s plus two election time-outs (1 s each): waiting a little longer lets its own,
 * clearer error arrive.
 */
export const changeTimeoutMs = 8_000;

export interface MemberList {
  readonly clusterId: string;
  readonly members: EtcdMember[];
}

/** One etcd member's gRPC API, with our `client` certificate (CN=root: works also once the tenant enables auth). */
export class EtcdClient {
  readonly #connection: GrpcConnection;

  constructor(url: string, clientTls: ClientTls) {
    this.#connection = new GrpcConnection(url, clientTls);
  }

  /** Any call of messages.ts. @throws EtcdError */
  async call<K extends keyof Calls>(
    name: K,
    request: RequestOf<K>,
    timeoutMs = changeTimeoutMs,
  ): Promise<ResponseOf<K>> {
    const call = calls[name] as unknown as {
      path: string;
      request: Message<RequestOf<K>>;
      response: Message<ResponseOf<K>>;
    };
    const answer = await this.#connection.unary(call.path, call.request.encode(request), timeoutMs);
    return call.response.decode(answer);
  }

  async status(timeoutMs: number): Promise<EtcdStatus> {
    return (await this.statusAndDowngrade(timeoutMs)).status;
  }

  /** `downgrade` is absent before 3.6. */
  async statusAndDowngrade(
    timeoutMs: number,
  ): Promise<{ status: EtcdStatus; downgrade?: { enabled: boolean; targetVersion: string } }> {
    const raw = await this.call('status', {}, timeoutMs);
    return { status: toStatus(raw), ...(raw.downgradeInfo && { downgrade: raw.downgradeInfo }) };
  }

  /** Not linearizable: this member's own knowledge, answered without quorum too. */
  async members(linearizable: boolean, timeoutMs: number): Promise<MemberList> {
    const answer = await this.call('memberList', { linearizable }, timeoutMs);
    return { clusterId: answer.header?.clusterId ?? '0', members: answer.members };
  }

  /**
   * The database file as it is now, piece by piece, its SHA-256 in the last 32 bytes. Works without quorum too.
   * `remainingBytes` is what follows the piece, as etcd tells it: without the hash.
   */
  async *snapshot(idleMs: number): AsyncGenerator<{ blob: Buffer; remainingBytes: number }> {
    const { path, request, response } = streams.snapshot;
    for await (const answer of this.#connection.stream(path, request.encode({}), idleMs)) {
      const { blob, remainingBytes } = response.decode(answer);
      yield { blob, remainingBytes: Number(remainingBytes) };
    }
  }

  /**
   * Every change of every key from a revision on, as this member sees it, in order; after an answer that is no `fragment`
   * the last revision is whole. Now and then a word that there was no change. Ends with an error when the member has no leader: it would not hear of changes then.
   * @throws EtcdError, `compacted` when the revision is gone
   */
  async *watch(fromRevision: number, idleMs: number, signal: AbortSignal): AsyncGenerator<WatchResponse> {
    const { path, request, response } = streams.watch;
    const everything = Buffer.from([0]);
    const body = request.encode({
      create: {
        key: everything,
        rangeEnd: everything,
        startRevision: String(fromRevision),
        progressNotify: true,
        fragment: true,
      },
    });
    const stream = this.#connection.stream(path, body, idleMs, { signal, needsLeader: true });
    for await (const message of stream) {
      const answer = response.decode(message);
      if (answer.compactRevision !== '0') {
        throw new EtcdError(
          'compacted',
          `etcd has compacted up to revision ${answer.compactRevision}, and ${fromRevision} was asked for`,
          { retryable: false },
        );
      }
      if (answer.canceled) throw fromGrpcStatus('Watch', 14, answer.cancelReason);
      yield answer;
    }
  }

  close(): void {
    this.#connection.close();
  }
}

function toStatus(raw: StatusResponse): EtcdStatus {
  return {
    etcdId: raw.header?.memberId ?? '0',
    clusterId: raw.header?.clusterId ?? '0',
    version: raw.version,
    revision: Number(raw.header?.revision ?? 0),
    raftTerm: Number(raw.raftTerm),
    raftIndex: Number(raw.raftIndex),
    raftAppliedIndex: Number(raw.raftAppliedIndex),
    leader: raw.leader,
    isLearner: raw.isLearner,
    dbSize: Number(raw.dbSize),
    dbSizeInUse: Number(raw.dbSizeInUse),
    ...(raw.dbSizeQuota !== '0' && { dbSizeQuota: Number(raw.dbSizeQuota) }),
    ...(raw.storageVersion !== '' && { storageVersion: raw.storageVersion }),
    errors: raw.errors,
  };
}
