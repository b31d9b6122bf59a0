import { Channel, connectivityState, credentials as grpcCredentials } from '@grpc/grpc-js';
import { Etcd3 } from 'etcd3';
import type { KeyPair } from '../clients.ts';

const pickAgainMs = 100;

/** Calls etcd through all endpoints in turn, as a client with a balancer does. */
export interface ManyEndpoints {
  /** Takes new ones in; those that left are closed when their last call has ended. */
  use(endpoints: readonly string[]): void;
  endpoints(): readonly string[];
  /**
   * One attempt. An endpoint without a connection is passed over, as gRPC's own balancers do, and one that the call could
   * not even be sent to: nobody calls that a retry.
   * @throws what etcd or the connection said; `neverSent` tells whether it can have happened
   */
  call<T>(deadlineMs: number, run: (client: Etcd3, deadline: Date) => Promise<T>): Promise<T>;
  /** One attempt at one endpoint. */
  at<T>(endpoint: string, deadlineMs: number, run: (client: Etcd3, deadline: Date) => Promise<T>): Promise<T>;
  /** Endpoints that calls still go to although the last one there got no answer, or waits for one too long. */
  silent(): number;
  close(): void;
}

interface Connection {
  readonly endpoint: string;
  readonly client: Etcd3;
  readonly channel: Channel;
  pending: number;
  /** Its last call got no answer. */
  unanswered: boolean;
  /** Until then others are asked first: its last answer was none. */
  avoidUntil: number;
  answeredAt: number;
  leaving: boolean;
}

/** What gRPC or etcd said, in a class that `etcd3` does not know. */
class CallFailedError extends Error {}

/**
 * No retries and no circuit breaker of the library's own: what fails is to be counted by us. And no new channel after
 * each failure, as `etcd3` makes one of those it knows: hundreds of calls that fail together would dial hundreds of times,
 * until this thread does nothing else. A gRPC channel connects again by itself.
 */
const once = {
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  async execute(run: (context: { signal: AbortSignal }) => unknown) {
    try {
      return await run({ signal: new AbortController().signal });
    } catch (error) {
      throw new CallFailedError(error instanceof Error ? error.message : String(error));
    }
  },
};

/** A member that is back is found within a second; one that is silent for ever is given up. */
const channelOptions = {
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
};

/** As long as gRPC's balancers leave a connection alone that failed: their first back-off. */
const avoidMs = 1_000;

/** The call never left this process. */
export const neverSent = (error: unknown): boolean =>
  /No connection established|ECONNREFUSED|Channel closed before call started|client was already closed/.test(
    String(error),
  );

const noAnswer = (error: unknown): boolean =>
  neverSent(error) || /DEADLINE_EXCEEDED|Deadline|UNAVAILABLE|Unavailable/i.test(String(error));

export function manyEndpoints(credentials: KeyPair): ManyEndpoints {
  let connections: Connection[] = [];
  let turn = 0;

  const pair = [credentials.caBundle, credentials.privateKey, credentials.certificate] as const;
  const [rootCertificate, privateKey, certChain] = pair.map((pem) => Buffer.from(pem)) as [
    Buffer,
    Buffer,
    Buffer,
  ];

  function connect(endpoint: string): Connection {
    const tls = grpcCredentials.createSsl(rootCertificate, privateKey, certChain);
    // Ours, because only a channel tells whether it is connected.
    const channel = new Channel(new URL(endpoint).host, tls, channelOptions);
    const client = new Etcd3({
      hosts: endpoint,
      credentials: { rootCertificate, privateKey, certChain },
      grpcOptions: { channelOverride: channel },
      faultHandling: { host: () => once as never, global: once as never },
    });
    const state = { pending: 0, unanswered: false, avoidUntil: 0, answeredAt: Date.now(), leaving: false };
    return { endpoint, client, channel, ...state };
  }

  async function attempt<T>(
    connection: Connection,
    deadlineMs: number,
    run: (client: Etcd3, deadline: Date) => Promise<T>,
  ): Promise<T> {
    connection.pending += 1;
    const begunAt = Date.now();
    try {
      const answer = await run(connection.client, new Date(Date.now() + deadlineMs));
      connection.answeredAt = Date.now();
      connection.avoidUntil = 0;
      connection.unanswered = false;
      return answer;
    } catch (error) {
      // What a dead leader took with it is never answered by who passed it on: others have been since.
      if (noAnswer(error) && connection.answeredAt <= begunAt) {
        connection.avoidUntil = Date.now() + avoidMs;
        connection.unanswered = true;
      }
      if (error instanceof Error) error.message += ` from ${connection.endpoint}`;
      throw error;
    } finally {
      connection.pending -= 1;
      if (connection.leaving && connection.pending === 0) connection.client.close();
    }
  }

  const waiting = new Set<{ readonly end: number; wake(): void }>();
  let timer: NodeJS.Timeout | undefined;
  function wakeSome(): void {
    const now = Date.now();
    const there = connections.some(isConnected);
    for (const call of waiting) {
      if (!there && call.end > now) continue;
      waiting.delete(call);
      call.wake();
    }
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }
  /** One timer for all that wait: with hundreds of calls a second each of them must cost next to nothing. */
  const picksAgain = (end: number): Promise<void> =>
    new Promise((wake) => {
      waiting.add({ end, wake });
      timer ??= setInterval(wakeSome, pickAgainMs);
    });

  return {
    use(endpoints) {
      const stay = connections.filter(({ endpoint }) => endpoints.includes(endpoint));
      for (const connection of connections) {
        if (stay.includes(connection)) continue;
        connection.leaving = true;
        if (connection.pending === 0) connection.client.close();
      }
      const known = new Set(stay.map(({ endpoint }) => endpoint));
      connections = [...stay, ...endpoints.filter((endpoint) => !known.has(endpoint)).map(connect)];
    },
    endpoints: () => connections.map(({ endpoint }) => endpoint),
    async call(deadlineMs, run) {
      const end = Date.now() + deadlineMs;
      turn += 1;
      for (let last: unknown; ; ) {
        for (const connection of inOrder(connections.filter(isConnected), turn)) {
          try {
            return await attempt(connection, Math.max(1, end - Date.now()), run);
          } catch (error) {
            last = error;
            if (!neverSent(error)) throw error;
          }
        }
        // Nobody could even be asked: a balancer picks again when one of them is there, within the call's time.
        if (Date.now() >= end) throw last ?? new Error('No connection established with any endpoint.');
        await picksAgain(end);
      }
    },
    at(endpoint, deadlineMs, run) {
      const connection = connections.find((each) => each.endpoint === endpoint);
      if (connection === undefined) throw new Error(`${endpoint} is not in use.`);
      return attempt(connection, deadlineMs, run);
    },
    silent: () =>
      connections.filter((each) => isConnected(each) && (each.unanswered || waitsLong(each, Date.now())))
        .length,
    close() {
      clearInterval(timer);
      for (const { client } of connections) client.close();
    },
  };
}

/** Whose connection is still being made, as to an address that nobody answers at, is asked again, and nobody waits for it. */
const isConnected = ({ channel }: Connection): boolean =>
  channel.getConnectivityState(true) === connectivityState.READY;

const waitsLong = ({ pending, answeredAt }: Connection, now: number): boolean =>
  pending > 0 && now - answeredAt > avoidMs;

/**
 * In turn; who was silent lately comes last, also one that may be frozen: others wait there for an answer. Where all are
 * silent, as after a leader's death, each has its turn: the leader that froze may well have been the last to answer.
 */
function inOrder(connections: readonly Connection[], turn: number): Connection[] {
  const now = Date.now();
  const avoided = (connection: Connection) => connection.avoidUntil > now || waitsLong(connection, now);
  return connections
    .map((_, index) => connections[(turn + index) % connections.length]!)
    .sort((a, b) => Number(avoided(a)) - Number(avoided(b)));
}
