import { setTimeout as sleep } from 'node:timers/promises';
import { etcd3Client } from './clients.ts';
import type { TestCloud } from './cloud.ts';

/** What somebody sees who watches a tenant's keys for ever, as a Kubernetes API server does. */
export interface Observed {
  readonly events: number;
  readonly last: number;
  /** Revisions that came after a higher one. */
  readonly wentBack: readonly number[];
  /** Where etcd ended the watch: what it says of a read at that revision, and where everything was read anew. */
  readonly relisted: readonly { readonly from: number; readonly to: number; readonly why: string }[];
}

export interface KeyObserver {
  observed(): Observed;
  stop(): Promise<void>;
}

const againMs = 300;

/** Watches all keys below `prefix`, each time from where it was; finds the members anew whenever it is cut off. */
export function observeKeys(cloud: TestCloud, tenantId: string, prefix: string): KeyObserver {
  const wentBack: number[] = [];
  const relisted: { from: number; to: number; why: string }[] = [];
  const stopping = new AbortController();
  let [events, last] = [0, 0];

  const note = (revision: number) => {
    if (revision < last) wentBack.push(revision);
    last = revision;
  };

  /** Until the stream breaks. @returns true when etcd has ended the watch: it cannot go on from there */
  async function watchOnce(client: Awaited<ReturnType<typeof etcd3Client>>): Promise<boolean> {
    // Not create(): that waits for ever for members that are gone.
    const watcher = client
      .watch()
      .prefix(prefix)
      .startRevision(String(last + 1))
      .watcher();
    watcher.on('data', (answer) => {
      if (answer.events.length === 0) return;
      events += answer.events.length;
      for (const { kv } of answer.events) note(Number(kv.mod_revision));
    });
    const ended = await new Promise<boolean>((resolve) => {
      watcher.on('error', () => resolve(true));
      watcher.on('disconnected', () => resolve(false));
      stopping.signal.addEventListener('abort', () => resolve(false));
    });
    // Whatever else it would say of its end is of no interest.
    watcher.on('error', () => {});
    watcher.cancel().catch(() => {});
    return ended;
  }

  async function readAnew(client: Awaited<ReturnType<typeof etcd3Client>>): Promise<void> {
    const { header } = await client.getAll().prefix(prefix).limit(1).exec();
    const to = Number(header.revision);
    if (last > 0) {
      const read = client.getAll().prefix(prefix).limit(1).revision(last).exec();
      const why = await read.then(
        () => 'nothing',
        (error) => String(error),
      );
      relisted.push({ from: last, to, why });
    }
    note(to);
  }

  async function live(): Promise<void> {
    let anew = true;
    while (!stopping.signal.aborted) {
      try {
        const client = await etcd3Client(cloud, tenantId);
        try {
          if (anew) await readAnew(client);
          anew = false;
          anew = await watchOnce(client);
        } finally {
          client.close();
        }
      } catch {
        // No endpoints, or no answer, for now.
      }
      await sleep(againMs);
    }
  }
  const ended = live();
  return {
    observed: () => ({ events, last, wentBack, relisted }),
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}
