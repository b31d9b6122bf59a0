import type { HistoryEntry, Value } from './history.ts';

export type Verdict =
  | { readonly linearizable: true }
  | {
      readonly linearizable: false;
      readonly key: string;
      /** The longest order that was found, then what could not follow: for people. */
      readonly why: string;
    };

/**
 * Is there one order of all operations, each taking effect at one moment between its call and its answer, that gives
 * every answer? Keys are registers of their own (etcd is one register machine, but linearizability is local: a history
 * is linearizable exactly if each key's is). The search is Wing and Gong's with Lowe's memory of what was tried:
 * G. Lowe, "Testing for linearizability", 2016.
 */
export function checkHistory(history: readonly HistoryEntry[]): Verdict {
  const keys = new Set(history.map(({ key }) => key));
  for (const key of keys) {
    const verdict = checkRegister(
      key,
      history.filter((entry) => entry.key === key),
    );
    if (!verdict.linearizable) return verdict;
  }
  return { linearizable: true };
}

/** What an operation needs to find and what it leaves behind; undefined: no matter, no change. */
interface Effect {
  readonly finds?: Value;
  readonly findsNot?: Value;
  readonly leaves?: Value;
  readonly from: number;
  readonly to: number;
  readonly entry: HistoryEntry;
}

/** Every operation before `low` is in the order, and of those after it the ones in `ahead`. */
interface Place {
  readonly low: number;
  readonly ahead: readonly number[];
  /** Those of unknown outcome that were used. */
  readonly used: readonly number[];
  readonly value: Value;
}

interface Frame {
  readonly place: Place;
  readonly next: readonly Place[];
  tried: number;
}

function checkRegister(key: string, history: readonly HistoryEntry[]): Verdict {
  const { certain, maybe } = effectsOf(history);
  const seen = new Set<string>();
  const start: Place = { low: 0, ahead: [], used: [], value: null };
  const path: Frame[] = [{ place: start, next: followers(start, certain, maybe), tried: 0 }];
  let deepest: readonly Place[] = [];
  while (path.length > 0) {
    const frame = path.at(-1)!;
    if (frame.place.low === certain.length) return { linearizable: true };
    const place = frame.next[frame.tried];
    frame.tried += 1;
    if (place === undefined) {
      if (path.length > deepest.length) deepest = path.map((each) => each.place);
      path.pop();
      continue;
    }
    const name = `${place.low}|${place.ahead}|${place.used}|${place.value}`;
    if (seen.has(name)) continue;
    seen.add(name);
    path.push({ place, next: followers(place, certain, maybe), tried: 0 });
  }
  return { linearizable: false, key, why: explain(deepest, certain, maybe) };
}

/**
 * Failed operations are no part of it. One of unknown outcome matters only if somebody saw what it would have written:
 * every answer tells the value it met, so one that nobody met can be left out of any order it stands in.
 */
function effectsOf(history: readonly HistoryEntry[]): { certain: Effect[]; maybe: Effect[] } {
  const certain = history
    .filter(({ outcome }) => outcome === 'ok')
    .map(effectOf)
    .sort((a, b) => a.from - b.from);
  const met = new Set(certain.flatMap(({ finds }) => (finds === undefined ? [] : [finds])));
  const unknown = history.filter(({ outcome }) => outcome === 'unknown').map(effectOf);
  const maybe: Effect[] = [];
  // Through one that was met another may have been met: an unknown swap needs what it expects.
  for (let before = -1; before < maybe.length; ) {
    before = maybe.length;
    for (const effect of unknown) {
      if (maybe.includes(effect) || effect.leaves === undefined || !met.has(effect.leaves)) continue;
      maybe.push(effect);
      if (effect.finds !== undefined) met.add(effect.finds);
    }
  }
  return { certain, maybe };
}

function effectOf(entry: HistoryEntry): Effect {
  const { operation } = entry;
  const at = { entry, from: entry.invokedAt, to: entry.returnedAt };
  switch (operation.type) {
    case 'put':
      return { ...at, leaves: operation.value };
    case 'get':
      return operation.saw === undefined ? at : { ...at, finds: operation.saw };
    case 'cas':
      if (entry.outcome === 'ok' && !operation.swapped)
        return { ...at, finds: operation.saw ?? null, findsNot: operation.expected };
      return { ...at, finds: operation.expected, leaves: operation.value };
  }
}

/** Where one more operation leads. Certain ones first: what may never have happened is only used when it is needed. */
function followers(place: Place, certain: readonly Effect[], maybe: readonly Effect[]): Place[] {
  const result: Place[] = [];
  let until = Number.POSITIVE_INFINITY;
  for (let index = place.low; index < certain.length; index += 1) {
    const effect = certain[index]!;
    // It began after one had ended that is not in the order yet.
    if (effect.from > until) break;
    if (place.ahead.includes(index)) continue;
    until = Math.min(until, effect.to);
    if (fits(effect, place.value)) result.push(withCertain(place, index, after(effect, place.value)));
  }
  maybe.forEach((effect, index) => {
    if (effect.from > until || place.used.includes(index) || !fits(effect, place.value)) return;
    const used = [...place.used, index].sort((a, b) => a - b);
    result.push({ ...place, used, value: after(effect, place.value) });
  });
  return result;
}

function withCertain(place: Place, index: number, value: Value): Place {
  const ahead = new Set([...place.ahead, index]);
  let { low } = place;
  while (ahead.delete(low)) low += 1;
  return { ...place, low, ahead: [...ahead].sort((a, b) => a - b), value };
}

const fits = ({ finds, findsNot }: Effect, value: Value): boolean =>
  (finds === undefined || finds === value) && (findsNot === undefined || findsNot !== value);

const after = ({ leaves }: Effect, value: Value): Value => leaves ?? value;

function explain(path: readonly Place[], certain: readonly Effect[], maybe: readonly Effect[]): string {
  const place = path.at(-1);
  if (place === undefined) return 'nothing can be first';
  const rest = certain
    .filter((_, index) => index >= place.low && !place.ahead.includes(index))
    .slice(0, 8)
    .map(({ entry }) => tell(entry));
  const unsure = maybe.filter((_, index) => !place.used.includes(index)).map(({ entry }) => tell(entry));
  return [
    `after ${path.length - 1} of ${certain.length} operations the value is ${place.value}, and none of these can follow:`,
    ...rest,
    ...(unsure.length > 0 ? ['of unknown outcome, not used:', ...unsure.slice(0, 8)] : []),
  ].join('\n  ');
}

function tell({ client, operation, invokedAt, returnedAt }: HistoryEntry): string {
  const time = `[${invokedAt.toFixed(1)}, ${returnedAt.toFixed(1)}]`;
  switch (operation.type) {
    case 'put':
      return `${time} client ${client} put ${operation.value}`;
    case 'get':
      return `${time} client ${client} got ${operation.saw}`;
    case 'cas':
      return `${time} client ${client} swapped ${operation.expected} for ${operation.value}: ${
        operation.swapped ? 'done' : `no, it was ${operation.saw}`
      }`;
  }
}
