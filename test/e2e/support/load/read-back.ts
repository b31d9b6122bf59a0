import type { ManyEndpoints } from './many-endpoints.ts';

/** Below gRPC's 4 MiB an answer. */
const pageKeys = 10_000;
const deadlineMs = 20_000;

export interface ReadBack {
  /** Acknowledged numbers that at least one endpoint does not have. */
  readonly lost: readonly number[];
  /** Keys that at least one endpoint has although nobody ever asked for them. */
  readonly invented: readonly string[];
}

/** Reads everything below `prefix` through each endpoint by itself. `next`: the first number that was never asked for. */
export async function compare(
  etcd: ManyEndpoints,
  prefix: string,
  { acknowledged, next }: { readonly acknowledged: ReadonlyMap<number, number>; readonly next: number },
): Promise<ReadBack> {
  const endpoints = etcd.endpoints();
  if (endpoints.length === 0) throw new Error('Nothing can be read back: there is no endpoint.');
  const there = await Promise.all(endpoints.map((endpoint) => keysAt(etcd, endpoint, prefix)));
  const asked = new Set(Array.from({ length: next }, (_, number) => `${prefix}${number}`));
  return {
    lost: [...acknowledged.keys()].filter((number) => there.some((keys) => !keys.has(`${prefix}${number}`))),
    invented: [...new Set(there.flatMap((keys) => [...keys].filter((key) => !asked.has(key))))],
  };
}

async function keysAt(etcd: ManyEndpoints, endpoint: string, prefix: string): Promise<Set<string>> {
  const found = new Set<string>();
  const end = `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
  for (let start = prefix; ; ) {
    const from = start;
    const page = await etcd.at(endpoint, deadlineMs, (client, deadline) =>
      client
        .getAll()
        .inRange({ start: from, end })
        .limit(pageKeys)
        .sort('Key', 'Ascend')
        .options({ deadline })
        .keys(),
    );
    for (const key of page) found.add(key);
    if (page.length < pageKeys) return found;
    start = `${page.at(-1)}\0`;
  }
}
