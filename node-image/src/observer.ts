import type { EtcdStatus, MemberSeen, NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { alarmsOf } from './etcd/alarms.ts';
import { EtcdClient, type MemberList } from './etcd/client.ts';
import type { EtcdMember } from './etcd/messages.ts';
import { sentence } from './log.ts';
import { type Identity, tlsOf } from './pki-store.ts';

export type ClusterView = NonNullable<NannyStatus['view']>;

export interface Observation {
  readonly self?: EtcdStatus;
  readonly downgrade?: NonNullable<NannyStatus['downgrade']>;
  readonly alarms: NannyStatus['alarms'];
  readonly view?: ClusterView;
}

const statusTimeoutMs = 1_000;
const listTimeoutMs = 1_000;
const noLeader = '0';

/** Looks at the own member and, through each member's client URL, at all others. */
export class Observer {
  readonly #ownUrl: string;
  readonly #identity: () => Identity;
  readonly #clients = new Map<string, EtcdClient>();
  #clientsOf: Identity | undefined;
  #view: { view: ClusterView; at: number } | undefined;

  constructor(ownUrl: string, identity: () => Identity) {
    this.#ownUrl = ownUrl;
    this.#identity = identity;
  }

  /** The client for a member; made anew after a renewal of the certificates. */
  client(url: string = this.#ownUrl): EtcdClient {
    const identity = this.#identity();
    if (this.#clientsOf !== identity) {
      this.close();
      this.#clientsOf = identity;
    }
    const client = this.#clients.get(url) ?? new EtcdClient(url, tlsOf(identity, 'client'));
    this.#clients.set(url, client);
    return client;
  }

  /** @param viewMaxAgeMs how old the view of the other members may be; the own status is always asked anew */
  async look(nowMs: () => number, viewMaxAgeMs: number): Promise<Observation> {
    let answer: Awaited<ReturnType<EtcdClient['statusAndDowngrade']>>;
    try {
      answer = await this.client().statusAndDowngrade(statusTimeoutMs);
    } catch {
      this.#view = undefined;
      return { alarms: [] };
    }
    const { status: self, downgrade } = answer;
    const own = { self, alarms: alarmsOf(self.errors), ...(downgrade && { downgrade }) };
    const kept = this.#view;
    if (kept && nowMs() - kept.at < viewMaxAgeMs) return { ...own, view: withSelf(kept.view, self) };
    const at = nowMs();
    const view = await this.#lookAtAll(self).catch(() => undefined);
    this.#view = view && { view, at };
    return { ...own, ...(view && { view }) };
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  async #lookAtAll(self: EtcdStatus): Promise<ClusterView> {
    const { list, linearizable } = await this.#list(self);
    const members = await Promise.all(list.members.map((member) => this.#lookAt(member, self)));
    this.#forgetAllBut(list.members.flatMap((member) => member.clientUrls));
    return { clusterId: list.clusterId, linearizable, members };
  }

  async #list(self: EtcdStatus): Promise<{ list: MemberList; linearizable: boolean }> {
    const client = this.client();
    // A learner refuses linearizable lists, and without a leader the answer would only be a time-out.
    if (self.leader !== noLeader && !self.isLearner) {
      try {
        return { list: await client.members(true, listTimeoutMs), linearizable: true };
      } catch {
        // The own knowledge, marked as such, is better than nothing.
      }
    }
    return { list: await client.members(false, listTimeoutMs), linearizable: false };
  }

  async #lookAt(member: EtcdMember, self: EtcdStatus): Promise<MemberSeen> {
    const seen = notProbed(member);
    if (member.id === self.etcdId) return { ...seen, reachable: true, status: self };
    const url = member.clientUrls[0];
    if (url === undefined) return { ...seen, problem: 'has not started yet' };
    const startedAt = performance.now();
    try {
      const status = await this.client(url).status(statusTimeoutMs);
      return { ...seen, reachable: true, roundTripMs: Math.round(performance.now() - startedAt), status };
    } catch (error) {
      return { ...seen, problem: sentence(error) };
    }
  }

  #forgetAllBut(urls: readonly string[]): void {
    for (const [url, client] of this.#clients) {
      if (url === this.#ownUrl || urls.includes(url)) continue;
      client.close();
      this.#clients.delete(url);
    }
  }
}

export function notProbed(member: EtcdMember): MemberSeen {
  return {
    etcdId: member.id,
    name: member.name,
    peerUrls: member.peerUrls,
    clientUrls: member.clientUrls,
    isLearner: member.isLearner,
    reachable: false,
  };
}

function withSelf(view: ClusterView, self: EtcdStatus): ClusterView {
  const members = view.members.map((member) =>
    member.etcdId === self.etcdId ? { ...member, reachable: true, status: self } : member,
  );
  return { ...view, members };
}
