import { setTimeout as sleep } from 'node:timers/promises';
import type { Etcd3 } from 'etcd3';
import type { HistoryEntry, RegisterOperation, Value } from '../history.ts';
import { type ManyEndpoints, neverSent } from './many-endpoints.ts';

const clientsPerKey = 3;
/** Between two operations of a client: enough that they overlap with each other, few enough to leave the cores alone. */
const pauseMs = 60;
const deadlineMs = 3_000;

export interface HotKeys {
  readonly history: HistoryEntry[];
  /** Ends after the operations under way. */
  stop(): Promise<void>;
}

/** A few clients each put, get and compare-and-swap the same few keys; no value is ever written twice. */
export function startHotKeys(
  etcd: Pick<ManyEndpoints, 'call'>,
  { prefix, keys, random }: { readonly prefix: string; readonly keys: number; readonly random: () => number },
): HotKeys {
  const history: HistoryEntry[] = [];
  let stopping = false;

  async function live(client: number, key: string): Promise<void> {
    let known: Value = null;
    for (let count = 0; !stopping; count += 1) {
      const operation = nextOperation(random(), `${client}.${count}`, known);
      const invokedAt = performance.now();
      const entry = (
        answered: RegisterOperation,
        outcome: HistoryEntry['outcome'],
        revision?: number,
      ): HistoryEntry => ({
        client,
        key,
        operation: answered,
        invokedAt,
        returnedAt: outcome === 'unknown' ? Number.POSITIVE_INFINITY : performance.now(),
        outcome,
        ...(revision !== undefined && { revision }),
      });
      try {
        const { answered, revision } = await etcd.call(deadlineMs, (to, deadline) =>
          perform(to, key, operation, deadline),
        );
        known = valueAfter(answered) ?? known;
        history.push(entry(answered, 'ok', revision));
      } catch (error) {
        history.push(entry(operation, neverSent(error) ? 'failed' : 'unknown'));
      }
      await sleep(pauseMs * (0.5 + random()));
    }
  }

  const clients = Array.from({ length: keys * clientsPerKey }, (_, client) =>
    live(client, `${prefix}${client % keys}`),
  );
  return {
    history,
    async stop() {
      stopping = true;
      await Promise.all(clients);
    },
  };
}

/** A swap needs a value to expect: the one this client knows may be out of date, and is so often enough. */
function nextOperation(dice: number, fresh: string, known: Value): RegisterOperation {
  if (dice < 0.4) return { type: 'get' };
  if (dice < 0.7 || known === null) return { type: 'put', value: fresh };
  return { type: 'cas', expected: known, value: fresh };
}

const valueAfter = (operation: RegisterOperation): Value | undefined =>
  operation.type === 'put' || (operation.type === 'cas' && operation.swapped)
    ? operation.value
    : operation.saw;

async function perform(
  client: Etcd3,
  key: string,
  operation: RegisterOperation,
  deadline: Date,
): Promise<{ answered: RegisterOperation; revision: number }> {
  switch (operation.type) {
    case 'put':
      return of(operation, await client.put(key).value(operation.value).options({ deadline }).exec());
    case 'get': {
      const answer = await client.get(key).options({ deadline }).exec();
      return of({ type: 'get', saw: valueIn(answer.kvs) }, answer);
    }
    case 'cas': {
      const { expected, value } = operation;
      const answer = await client
        .if(key, 'Value', '==', expected)
        .then(client.put(key).value(value))
        .else(client.get(key))
        .options({ deadline })
        .commit();
      if (answer.succeeded) return of({ ...operation, swapped: true }, answer);
      const saw = valueIn(answer.responses[0]?.response_range?.kvs ?? []);
      return of({ ...operation, swapped: false, saw }, answer);
    }
  }
}

const of = (answered: RegisterOperation, { header }: { header: { revision: string } }) => ({
  answered,
  revision: Number(header.revision),
});

const valueIn = ([found]: readonly { value: Buffer }[]): Value => found?.value.toString() ?? null;
