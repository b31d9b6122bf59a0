import { backoffWait } from '../backoff.ts';
import type { TenantRecord, Work } from '../model/tenant.ts';
import { waitSoon } from '../primitives/decide.ts';
import { type Decision, type Observation, step, type TaskState, taskEnd, taskState } from '../step.ts';
import { tellTransfer } from '../transfer.ts';
import type { WorkProgress, WorkResult } from '../wire/work.ts';

/** Tasks that try one order before it counts as failed, where it may. */
const attempts = 3;
/** As a member's: a task that runs but has not joined by then never will. */
const joinLimitMs = 10 * 60_000;
/** A worker tells of its progress each few seconds; one that is silent for so long hangs. */
const silentLimitMs = 10 * 60_000;

export type WorkFailure = Extract<WorkProgress, { state: 'failed' }>;

export type WorkView =
  /** Launch it, wait for it, or let another task try. */
  | { readonly kind: 'decision'; readonly decision: Decision }
  | { readonly kind: 'done'; readonly result: WorkResult; readonly order: Work['order'] }
  /** For good: no other task is tried. */
  | { readonly kind: 'failed'; readonly failure: WorkFailure };

/**
 * How far the record's worker is. Who ordered it (`order-work`) asks this until it is `done` or `failed`, writes down
 * what it needs of the result, and only then ends the work (`end-work`): a crash in between reads the result again.
 *
 * Launched like a member, but never one: it is in no member list, and what becomes of its task costs no quorum. A task
 * that is gone without having told its result is tried again with another one, as is what failed for a passing reason:
 * up to three times, or for ever where nothing else is left (`untiring`).
 */
export function followWork(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  { untiring = false }: { readonly untiring?: boolean } = {},
): WorkView {
  const { work } = tenant;
  if (work === undefined) throw new Error(`Tenant ${tenant.tenantId} has no work under way.`);
  const decide = (decision: Decision): WorkView => ({ kind: 'decision', decision });
  const { progress } = work;
  if (progress?.state === 'done') return { kind: 'done', result: progress.result, order: work.order };
  const failure = progress?.state === 'failed' ? progress : whyLost(work, observation, now);
  if (failure !== undefined) {
    if (failure.code !== 'passing' || (!untiring && work.attempt >= attempts))
      return { kind: 'failed', failure };
    return decide(step({ kind: 'retry-work', name: work.name, reason: failure.problem }));
  }
  if (work.taskArn === undefined) return decide(backoffWait(tenant, now) ?? step({ kind: 'launch-work' }));
  return decide(waitSoon('wait-for-work', tellProgress(work), 5));
}

/** For people: the phase, how much of it is done, how fast and how long it will take. */
export function tellProgress({ name, ip, progress, attempt, phaseSince, toldAt }: Work): string {
  const again = attempt > 1 ? ` (attempt ${attempt})` : '';
  if (ip === undefined) return `worker ${name} has not joined yet${again}`;
  if (progress?.state !== 'running') return `worker ${name} begins${again}`;
  const { phase, bytes, totalBytes } = progress;
  const tookMs = Date.parse(toldAt ?? '') - Date.parse(phaseSince ?? '');
  const far = bytes === undefined ? '' : `: ${tellTransfer(bytes, totalBytes, tookMs)}`;
  return `worker ${name} is ${phase}${far}${again}`;
}

/** What ECS knows of the worker's task. */
export const workTask = (work: Work, observation: Observation, now: Date): TaskState =>
  taskState(asMember(work), observation, now);

/** Gone without a last word. */
function whyLost(work: Work, observation: Observation, now: Date): WorkFailure | undefined {
  const passing = (problem: string): WorkFailure => ({ state: 'failed', code: 'passing', problem });
  const task = workTask(work, observation, now);
  if (task === 'stopped' || task === 'stopping') {
    return passing(`the task of ${work.name} stopped: ${taskEnd(asMember(work), observation)}`);
  }
  const silentSince = work.toldAt ?? work.launchedAt;
  if (silentSince === undefined) return undefined;
  const limitMs = work.ip === undefined ? joinLimitMs : silentLimitMs;
  return now.getTime() - Date.parse(silentSince) > limitMs
    ? passing(`${work.name} has said nothing for ${limitMs / 60_000} minutes`)
    : undefined;
}

const asMember = ({ name, zone, requestedAt, taskArn, launchedAt }: Work) =>
  taskArn === undefined
    ? ({ state: 'requested', name, zone, requestedAt } as const)
    : ({
        state: 'launching',
        name,
        zone,
        requestedAt,
        taskArn,
        launchedAt: launchedAt ?? requestedAt,
      } as const);
