import type * as z from 'zod';
import { dutyOf } from '../core/duty.ts';
import { ControlPlaneError } from '../core/errors.ts';
import type { TenantRecord, Work } from '../core/model/tenant.ts';
import type { Duty } from '../core/ports.ts';
import { updateTenant } from '../core/update-tenant.ts';
import type { JoinAnswer, JoinRequest } from '../core/wire/join.ts';
import type { WorkProgress, workReportAnswerSchema, workReportSchema } from '../core/wire/work.ts';
import { admit } from './admit.ts';
import { signLeaves } from './certificates.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';

/** Progress within a phase is written no more often: each write may meet the function that holds the lease. */
const writeEveryMs = 2_000;

/** What a worker that has proven who it is is told to do. */
export async function joinWorker(
  deps: JoinDeps,
  request: JoinRequest,
  caller: JoinCaller,
  tenant: TenantRecord,
  work: Work,
): Promise<JoinAnswer> {
  if (isFinal(work.progress)) return { answer: 'leave', reason: 'the work has ended' };
  // Signed before anything is recorded: a bad request must not pass for a worker that has begun.
  const owner = { name: work.name, ip: caller.sourceIp };
  const certificates = await signLeaves(deps, tenant, owner, request.csrs);
  if (work.ip === undefined) {
    const at = deps.clock.now().toISOString();
    const recorded = await updateTenant(deps, tenant, (stored) =>
      stored.work?.name === work.name && stored.work.taskArn === work.taskArn && stored.work.ip === undefined
        ? { ...stored, work: { ...stored.work, ip: caller.sourceIp, toldAt: at } }
        : undefined,
    );
    if (recorded.tenant?.work?.name !== work.name) {
      return { answer: 'leave', reason: 'the work is not wanted any more' };
    }
  }
  return { answer: 'work', order: work.order, certificates };
}

/**
 * "This far I am." Written into the record; a last word is written once and wakes whoever ordered the work.
 *
 * @throws NotThisTaskError, ControlPlaneError `not-joined`
 */
export async function takeProgress(
  deps: JoinDeps,
  report: z.infer<typeof workReportSchema>,
  caller: JoinCaller,
): Promise<z.infer<typeof workReportAnswerSchema>> {
  const admission = await admit(deps, report, caller);
  if (admission.kind === 'leave') return { leave: true };
  if (admission.kind !== 'worker' || admission.work.ip === undefined) {
    throw new ControlPlaneError('not-joined', `${report.memberName} is no worker that has joined.`);
  }
  const { orderId, progress } = report;
  let turned = false;
  const { tenant, saved } = await updateTenant(deps, admission.tenant, (stored) => {
    const { work } = stored;
    if (work?.name !== report.memberName || work.order.orderId !== orderId || isFinal(work.progress)) {
      return undefined;
    }
    const now = deps.clock.now();
    turned = phaseOf(work.progress) !== phaseOf(progress);
    const quiet = work.toldAt !== undefined && now.getTime() - Date.parse(work.toldAt) < writeEveryMs;
    if (quiet && !turned) return undefined;
    const at = now.toISOString();
    return {
      ...stored,
      work: { ...work, progress, toldAt: at, phaseSince: turned ? at : (work.phaseSince ?? at) },
    };
  });
  const work = tenant?.work;
  if (tenant === undefined || work?.name !== report.memberName || work.order.orderId !== orderId) {
    return { leave: true };
  }
  const ended = isFinal(work.progress);
  // Asked again of a last word that is stored: whoever was woken then may have missed it.
  if ((saved && turned) || ended) await deps.dispatcher.look(tenant.tenantId, ordererOf(tenant, work));
  return { leave: ended };
}

const isFinal = (progress: WorkProgress | undefined): boolean =>
  progress?.state === 'done' || progress?.state === 'failed';

const phaseOf = (progress: WorkProgress | undefined): string =>
  progress?.state === 'running' ? progress.phase : (progress?.state ?? 'none');

/** Drills are nobody's operation. */
const ordererOf = (tenant: TenantRecord, { purpose }: Work): Duty =>
  purpose === 'drill' ? 'backup' : dutyOf(tenant);
