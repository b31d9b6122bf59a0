import * as https from 'node:https';
import { httpCall } from './http.ts';
import { sentence } from './log.ts';
import { type Identity, tlsOf } from './pki-store.ts';

/** A linearizable read is part of /readyz: during an election it hangs for a second or two. */
const timeoutMs = 2_000;

export interface Readiness {
  /** `learner`: all is well, but it does not vote yet and clients cannot use it. */
  readonly state: 'ready' | 'learner' | 'not-ready';
  /** Why the linearizable read that is part of the check did not succeed; absent when it did. */
  readonly readProblem?: string;
}

/**
 * Asks etcd's /readyz on the metrics port: what a member without quorum still opens, and what tells the truth
 * (grpc.health says SERVING without quorum). One of its checks is a linearizable read, so no other is needed.
 */
export class ReadinessProbe {
  readonly #url: URL;
  readonly #identity: () => Identity;
  #agent: https.Agent | undefined;
  #agentOf: Identity | undefined;
  #last: Readiness | undefined;

  constructor(metricsUrl: string, identity: () => Identity) {
    this.#url = new URL('/readyz', metricsUrl);
    this.#identity = identity;
  }

  /** What the last check said; undefined before the first. */
  get last(): Readiness | undefined {
    return this.#last;
  }

  async check(): Promise<Readiness> {
    try {
      const answer = await httpCall(this.#url, { method: 'GET', timeoutMs, agent: this.agent() });
      this.#last = judge(answer.status, answer.body);
    } catch (error) {
      this.#last = { state: 'not-ready', readProblem: sentence(error) };
    }
    return this.#last;
  }

  /** For other calls to the metrics port. */
  agent(): https.Agent {
    const identity = this.#identity();
    if (this.#agent === undefined || this.#agentOf !== identity) {
      this.#agent?.destroy();
      this.#agent = new https.Agent({ keepAlive: true, maxSockets: 2, ...tlsOf(identity, 'client') });
      this.#agentOf = identity;
    }
    return this.#agent;
  }

  close(): void {
    this.#agent?.destroy();
  }
}

/** The body of a failed check has a line for each: `[+]serializable_read ok`, `[-]non_learner failed: ...`. */
export function judge(status: number, body: string): Readiness {
  if (status === 200) return { state: 'ready' };
  const failed = [...body.matchAll(/^\[-\](\w+)(?: failed)?:? ?(.*)$/gm)];
  const read = failed.find(([, check]) => check === 'linearizable_read')?.[2];
  const learner = failed.length > 0 && failed.every(([, check]) => check === 'non_learner');
  const readProblem = failed.length === 0 ? `/readyz answered ${status}` : read;
  return {
    state: learner ? 'learner' : 'not-ready',
    ...(readProblem !== undefined && { readProblem: readProblem || 'the read failed' }),
  };
}
