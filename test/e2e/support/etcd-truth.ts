import { EtcdClient } from '../../../node-image/src/etcd/client.ts';
import { issueCredentials } from './clients.ts';
import type { TestCloud } from './cloud.ts';

/** What etcd itself says, asked as a tenant could. */
export interface EtcdTruth {
  readonly clusterId: string;
  readonly members: readonly EtcdMemberTruth[];
}

export interface EtcdMemberTruth {
  /** Empty until it has started for the first time. */
  readonly name: string;
  readonly etcdId: string;
  readonly isLearner: boolean;
  /** It answered a linearizable read by itself. */
  readonly serves: boolean;
}

export interface EtcdWitness {
  /** @throws when no member of the list can be asked, as without quorum */
  look(): Promise<EtcdTruth>;
  close(): void;
}

/** More than a healthy member on a busy machine takes, less than one that is only slow. */
const answerWithinMs = 1_500;

/** Asks for the member list through any member, and each of those listed to serve a read of its own. */
export async function etcdWitness(cloud: TestCloud, tenantId: string): Promise<EtcdWitness> {
  const { caBundle: ca, certificate: cert, privateKey: key } = await issueCredentials(cloud, tenantId);
  const clients = new Map<string, EtcdClient>();
  const clientOf = (url: string): EtcdClient => {
    const client = clients.get(url) ?? new EtcdClient(url, { ca, cert, key });
    clients.set(url, client);
    return client;
  };
  const listFrom = (urls: readonly string[]) =>
    Promise.any(urls.map((url) => clientOf(url).members(true, answerWithinMs)));
  let known: readonly string[] = [];
  return {
    async look() {
      const list = await listFrom(known).catch(async () =>
        listFrom((await cloud.tenant(tenantId)).endpoints),
      );
      known = list.members.flatMap(({ clientUrls }) => clientUrls);
      const members = await Promise.all(
        list.members.map(async ({ name, id, isLearner, clientUrls }) => {
          const [url] = clientUrls;
          const read = async () =>
            url !== undefined &&
            (await clientOf(url).call('range', { key: Buffer.from('truth') }, answerWithinMs));
          const serves = !isLearner && Boolean(await read().catch(() => false));
          return { name, etcdId: id, isLearner, serves };
        }),
      );
      return { clusterId: list.clusterId, members };
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

/** As many voters as wanted, nobody else, each serving. */
export const isWhole = ({ members }: EtcdTruth, wanted: number): boolean =>
  members.length === wanted && members.every(({ isLearner, serves }) => !isLearner && serves);
