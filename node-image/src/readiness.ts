import * as https from 'node:https';
import { httpCall } from './http.ts';
import { type Identity, tlsOf } from './pki-store.ts';

/** A linearizable read is part of /readyz: during an election it hangs for a second or two. */
const timeoutMs = 2_000;

/**
 * Asks etcd's /readyz on the metrics port: what a member without quorum still opens, and what tells the truth
 * (grpc.health says SERVING without quorum).
 */
export class ReadinessProbe {
  readonly #url: URL;
  readonly #identity: () => Identity;
  #agent: https.Agent | undefined;
  #agentOf: Identity | undefined;

  constructor(metricsUrl: string, identity: () => Identity) {
    this.#url = new URL('/readyz', metricsUrl);
    this.#identity = identity;
  }

  async isReady(): Promise<boolean> {
    try {
      const answer = await httpCall(this.#url, { method: 'GET', timeoutMs, agent: this.#currentAgent() });
      return answer.status === 200;
    } catch {
      return false;
    }
  }

  close(): void {
    this.#agent?.destroy();
  }

  #currentAgent(): https.Agent {
    const identity = this.#identity();
    if (this.#agent === undefined || this.#agentOf !== identity) {
      this.#agent?.destroy();
      this.#agent = new https.Agent({ keepAlive: true, maxSockets: 1, ...tlsOf(identity, 'client') });
      this.#agentOf = identity;
    }
    return this.#agent;
  }
}
