import { dutyOf } from './duty.ts';
import type { Operation, OperationStep, TimelineEvent } from './model/operation.ts';
import type { RestoreReport } from './model/restore.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Clock, Duty, Ids, Log, MetricSink, TenantStore } from './ports.ts';

/** Steps kept of one operation; the first half is never dropped, so that the beginning of the story stays. */
const stepsKept = 200;
/** Of one text, in characters. AWS refuses items above 400 KB: 200 steps of this length are about half of one. */
const longestText = 1_000;

export interface JournalDeps {
  readonly store: Pick<TenantStore, 'getOperation' | 'putOperation' | 'appendEvent'>;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'ulid'>;
  readonly log: Log;
  /** Where nobody counts, nothing is. */
  readonly metrics?: Pick<MetricSink, 'fleet'>;
}

type EventKind = TimelineEvent['kind'];

/**
 * Writes what people read: the operation's steps and the tenant's timeline. Only changes are written: the same wait,
 * the same failure and the same refusal are told once. Writing goes on beside the work; a line that could not be
 * written is logged and never stops the work. Only `close` is awaited and may fail.
 */
export interface Journal {
  /** Whether what is worked on is still what it writes of. */
  isOf(tenant: TenantRecord): boolean;
  done(name: string, detail: string, startedAt: Date, kind?: EventKind | 'none'): void;
  waiting(name: string, reason: string): void;
  failed(name: string, reason: string, startedAt: Date): void;
  refused(name: string, rule: string, reason: string): void;
  event(kind: EventKind, message: string, more?: Partial<Pick<TimelineEvent, 'rule' | 'member'>>): void;
  /** What the operation is called has changed: a repair turned out to be a recovery. */
  retitle(kind: Operation['kind']): void;
  /** Ends the operation; harmless to repeat. */
  close(state: 'succeeded' | 'failed', message: string, report?: RestoreReport): Promise<void>;
  /** Tells CloudWatch of an operation that has failed. Looks beside each other all close it: for whoever took it off the record. */
  countFailure(): void;
  flush(): Promise<void>;
}

export async function openJournal(
  deps: JournalDeps,
  tenant: TenantRecord,
  duty: Duty = dutyOf(tenant),
): Promise<Journal> {
  const { tenantId } = tenant;
  const now = (): string => deps.clock.now().toISOString();
  const current = currentOperation(tenant, duty);
  const operationId = current?.operationId;
  let operation = current && (await load(deps, tenant, current));
  let pending: Promise<void> = Promise.resolve();

  const later = (what: string, write: () => Promise<void>): void => {
    pending = pending.then(write).catch((error: unknown) => {
      deps.log.warn(`The ${what} of ${tenantId} could not be written; the work goes on.`, {
        error: String(error),
      });
    });
  };
  const event: Journal['event'] = (kind, message, more = {}) => {
    const line = { eventId: deps.ids.ulid(), tenantId, at: now(), kind, message: short(message), ...more };
    later('timeline', () =>
      deps.store.appendEvent({ ...line, ...(operationId !== undefined && { operationId }) }),
    );
  };
  let closed = false;
  const update = (message: string, steps: OperationStep[]): void => {
    // What fails after its end (an answer that did not come) must not open it again: nobody would close it any more.
    if (operation === undefined || closed) return;
    const next: Operation = { ...operation, state: 'running', message, updatedAt: now(), steps: trim(steps) };
    operation = next;
    later('operation', () => deps.store.putOperation(next));
  };
  const steps = (): OperationStep[] => operation?.steps ?? [];
  const last = (): OperationStep | undefined => steps().at(-1);

  return {
    isOf: (newest) => currentOperation(newest, duty)?.operationId === operationId,
    event,
    done(name, text, startedAt, kind = 'done') {
      const detail = short(text);
      const before = steps().findLast((entry) => !isWait(entry));
      // Done again because the world has not caught up with it, and waited for in between: one line is enough.
      const same = before?.outcome === 'done' && before.name === name && before.detail === detail;
      if (same && isRecent(before, deps.clock.now())) return;
      const entry = { name, detail, startedAt: startedAt.toISOString(), endedAt: now() };
      update(detail, [...ended(steps(), now()), { ...entry, outcome: 'done' }]);
      if (kind !== 'none') event(kind, detail);
    },
    waiting(name, text) {
      const reason = short(text);
      const running = last();
      if (running?.outcome === 'failed' || running?.outcome === 'refused') {
        if (operation?.message !== reason) update(reason, steps());
      } else if (running?.outcome === 'running' && running.name === name) {
        if (running.detail !== reason)
          update(reason, [...steps().slice(0, -1), { ...running, detail: reason }]);
      } else {
        const entry = { name, detail: reason, startedAt: now(), outcome: 'running' as const };
        update(reason, [...ended(steps(), now()), entry]);
      }
    },
    failed(name, text, startedAt) {
      const reason = short(text);
      const before = last();
      if (before?.outcome === 'failed' && before.name === name && before.detail === reason) {
        update(reason, [...steps().slice(0, -1), { ...before, endedAt: now() }]);
        return;
      }
      const entry = { name, detail: reason, startedAt: startedAt.toISOString(), endedAt: now() };
      update(reason, [...ended(steps(), now()), { ...entry, outcome: 'failed' }]);
      event('seen', `${name} failed: ${reason}`);
    },
    refused(name, rule, text) {
      const reason = short(text);
      const before = last();
      if (before?.outcome === 'refused' && before.name === name && before.detail === reason) return;
      const entry = { name, detail: reason, startedAt: now(), endedAt: now() };
      update(`${rule}: ${reason}`, [...ended(steps(), now()), { ...entry, outcome: 'refused' }]);
      event('refused', `${name}: ${reason}`, { rule });
    },
    retitle(kind) {
      if (operation !== undefined) operation = { ...operation, kind };
    },
    async close(state, message, report) {
      await pending;
      if (operation === undefined) return;
      closed = true;
      const at = now();
      const closing = {
        state,
        message: short(message),
        updatedAt: at,
        endedAt: at,
        steps: ended(steps(), at),
      };
      const next: Operation = { ...operation, ...closing, ...(report && { report }) };
      operation = next;
      await deps.store.putOperation(next);
    },
    countFailure: () => deps.metrics?.fleet({ OperationsFailed: 1 }),
    flush: () => pending,
  };
}

/** What is worked on now: remediation goes before the operation that it interrupts. Who works beside has only its own. */
function currentOperation(tenant: TenantRecord, duty: Duty): TenantRecord['operation'] {
  const { operation, remediation } = tenant;
  if (duty === 'backup') {
    return operation?.kind === 'backup' || operation?.kind === 'drill' ? operation : undefined;
  }
  return remediation !== undefined && dutyOf(tenant) === 'remediate'
    ? { operationId: remediation.operationId, kind: remediation.kind }
    : operation;
}

/** Begun by the control plane itself, unless the API has written another down. */
const byItself: readonly Operation['kind'][] = ['remediate', 'recover', 'rotate-ca'];

/** The operation as stored; a new one when the caller that wanted it died before it was written. */
async function load(
  deps: JournalDeps,
  tenant: TenantRecord,
  { operationId, kind }: NonNullable<TenantRecord['operation']>,
): Promise<Operation> {
  const stored = await deps.store.getOperation(tenant.tenantId, operationId);
  // A remediation may turn out to be a recovery, or end in a resize.
  if (stored !== undefined) return { ...stored, kind };
  const at = deps.clock.now().toISOString();
  return {
    operationId,
    tenantId: tenant.tenantId,
    kind,
    state: 'running',
    requestedBy: byItself.includes(kind) ? 'etcd-nanny' : tenant.owner,
    createdAt: at,
    updatedAt: at,
    message: '',
    steps: [],
  };
}

/** Longer than ECS takes to tell what was asked of it. */
const catchUpMs = 2 * 60_000;

/** As the plans name their waits. */
const isWait = ({ name }: OperationStep): boolean => name.startsWith('wait-for-') || name === 'fence';

const isRecent = ({ endedAt }: OperationStep, now: Date): boolean =>
  endedAt !== undefined && now.getTime() - Date.parse(endedAt) < catchUpMs;

const ended = (steps: OperationStep[], at: string): OperationStep[] =>
  steps.map((entry) => (entry.outcome === 'running' ? { ...entry, outcome: 'done', endedAt: at } : entry));

const short = (text: string): string =>
  text.length <= longestText ? text : `${text.slice(0, longestText - 1)}…`;

const trim = (steps: OperationStep[]): OperationStep[] =>
  steps.length <= stepsKept
    ? steps
    : [...steps.slice(0, stepsKept / 2), ...steps.slice(steps.length - stepsKept / 2)];
