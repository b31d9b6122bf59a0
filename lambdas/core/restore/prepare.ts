import { dueShard } from '../due-shard.ts';
import type { Pin } from '../model/restore.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { preparedPrefix } from '../safety-recovery.ts';
import { type Decision, type Observation, type OrderWork, step } from '../step.ts';
import type { WorkResult } from '../wire/work.ts';
import { followWork, type WorkView } from '../work/follow-work.ts';

export type Preparation =
  | { readonly kind: 'decision'; readonly decision: Decision }
  | {
      readonly kind: 'done';
      readonly result: WorkResult & { readonly output: NonNullable<WorkResult['output']> };
    }
  | { readonly kind: 'failed'; readonly problem: string; readonly damagedKey?: string };

interface Preparing {
  readonly operationId: string;
  readonly pin: Pin;
  readonly zone: string;
  /** Tried again for as long as only passing things stand in the way. */
  readonly untiring?: boolean;
}

export interface WantedWork {
  readonly operationId: string;
  readonly zone: string;
  readonly order: OrderWork['order'];
  /** A copy of a kept disk that the worker begins with. */
  readonly snapshotId?: string;
  /** Something else has reached this revision already. */
  readonly outputAbove?: number;
  /** Tried again for as long as only passing things stand in the way. */
  readonly untiring?: boolean;
}

/** One worker makes one snapshot of this; whatever else a worker does, or has done, gives way. */
export function workTowards(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { untiring = false, ...wanted }: WantedWork,
): WorkView {
  const decide = (decision: Decision): WorkView => ({ kind: 'decision', decision });
  const { work } = tenant;
  if (work === undefined) {
    return decide(
      step({ kind: 'order-work', purpose: 'restore', ...wanted, outputPrefix: preparedPrefix(tenant) }),
    );
  }
  const same =
    work.operationId === wanted.operationId &&
    work.snapshotId === wanted.snapshotId &&
    work.order.deltas?.prefix === wanted.order.deltas?.prefix;
  if (!same) {
    const reason = 'something else has to be prepared';
    return decide(step({ kind: 'end-work', name: work.name, reason }));
  }
  return followWork(tenant, observation, now, { untiring });
}

/** One worker makes one snapshot of the pinned backup and its segments. */
export function prepare(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { operationId, pin, zone, untiring = false }: Preparing,
): Preparation {
  const { key: fullKey, sha256, bytes, revision, bumpRevision, until, deltas, except } = pin;
  const view = workTowards(tenant, observation, now, {
    operationId,
    zone,
    untiring,
    order: {
      etcdVersion: tenant.spec.version,
      source: { kind: 'full', key: fullKey, sha256, bytes, revision, ...(bumpRevision && { bumpRevision }) },
      ...(deltas !== undefined && { deltas: { prefix: deltas, ...(except && { except }) } }),
      ...(until && { until }),
    },
  });
  if (view.kind === 'decision') return view;
  if (view.kind === 'failed') {
    const { code, problem, key } = view.failure;
    return {
      kind: 'failed',
      problem: `the backup could not be restored: ${problem}`,
      ...(code === 'damaged' && { damagedKey: key ?? pin.key }),
    };
  }
  const { result } = view;
  const wrong = whyWrong(result, pin);
  if (wrong !== undefined || result.output === undefined) {
    return { kind: 'failed', problem: wrong ?? 'the worker published nothing' };
  }
  return { kind: 'done', result: { ...result, output: result.output } };
}

/** What was made is what was asked for: nothing is taken down for something else. */
function whyWrong({ revision }: WorkResult, pin: Pin): string | undefined {
  const { until } = pin;
  if (until?.revision !== undefined && revision !== until.revision) {
    return `the worker reached revision ${revision}, not ${until.revision}`;
  }
  // Segments that came since make it more, never less. A time says only what lies surely before it.
  return revision < pin.expectedRevision
    ? `the worker reached revision ${revision} only, not ${pin.expectedRevision}`
    : undefined;
}

/** The next step towards the snapshot that a restore, in place or into a new tenant, starts from. */
export function prepareRestore(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { operationId, pin, zones }: { operationId: string; pin: Pin; zones: readonly string[] },
): Decision {
  const zone = zones[dueShard(tenant.tenantId) % zones.length]!;
  const preparation = prepare(tenant, observation, now, { operationId, pin, zone });
  switch (preparation.kind) {
    case 'decision':
      return preparation.decision;
    case 'done':
      return step({ kind: 'keep-prepared', operationId, result: preparation.result });
    case 'failed':
      return step({
        kind: 'note-failed',
        operationId,
        reason: preparation.problem,
        ...(preparation.damagedKey !== undefined && { damagedKey: preparation.damagedKey }),
      });
  }
}
