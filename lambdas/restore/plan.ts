import { membersIn } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { clearLeaving, gather, nameThose, replaceIncarnation, waitLong } from '../core/primitives/index.ts';
import { planHibernate } from '../core/restore/hibernate.ts';
import { prepareRestore } from '../core/restore/prepare.ts';
import { reportOf, tellReport } from '../core/restore/report.ts';
import { type Decision, type Observation, step } from '../core/step.ts';

/** One cluster becomes another: restored in place, put to sleep, woken up. */
export function planRestore(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision {
  const { operation, paused } = tenant;
  if (operation === undefined) return { kind: 'done' };
  const inBetween = tenant.incarnation.state !== 'formed';
  if (paused !== undefined && !inBetween && tenant.status.phase !== 'recovering') {
    return waitLong(
      'paused',
      `automation is paused since ${paused.since} by ${paused.by}: ${paused.reason}`,
      300,
    );
  }
  if (inBetween) {
    const clearing = clearLeaving(tenant, observation, now, undefined, 'the attempt given up');
    return clearing ?? gather(tenant, observation, now, zones);
  }
  switch (operation.kind) {
    case 'hibernate':
      return planHibernate(tenant, observation, now);
    case 'wake':
      return tenant.status.phase === 'hibernated'
        ? replaceIncarnation(tenant, observation, now, tenant.status.source)
        : serve(tenant, observation, 'The cluster is awake.');
    default:
      return planInPlace(tenant, observation, now, zones);
  }
}

/** Prepared beside the running cluster; only what is safe and right takes its place. */
function planInPlace(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  zones: readonly string[],
): Decision {
  const { restore, operation, incarnation, work } = tenant;
  const { operationId } = operation!;
  if (restore?.operationId !== operationId) return fail('what is to be restored is not on the record');
  const { prepared, pin, failed } = restore;
  if (incarnation.number > restore.incarnation) {
    const report = reportOf(restore, now, true);
    return serve(tenant, observation, report ? tellReport(report) : 'Restored.', report);
  }
  if (failed !== undefined) {
    return work?.operationId === operationId
      ? step({ kind: 'end-work', name: work.name, reason: 'nothing comes of it' })
      : fail(`${failed}; the cluster is as it was`);
  }
  if (prepared === undefined) return prepareRestore(tenant, observation, now, { operationId, pin, zones });
  if (work !== undefined) {
    return step({ kind: 'end-work', name: work.name, reason: 'what it made is in the bucket' });
  }
  return restore.fencedAt === undefined
    ? step({ kind: 'begin-restore', operationId })
    : replaceIncarnation(tenant, observation, now, prepared.source);
}

/** The new incarnation has formed: names, the record, the end of the operation. */
function serve(
  tenant: TenantRecord,
  observation: Observation,
  message: string,
  report?: ReturnType<typeof reportOf>,
): Decision {
  if (tenant.status.phase !== 'recovering') {
    return step({ kind: 'close-operation', message, ...(report && { report }) });
  }
  // All of them, as at create: whoever seems not well at this very moment would stay without a name, since nobody looks
  // for that once the operation is over.
  return nameThose(tenant, observation, membersIn(tenant, 'voting')) ?? step({ kind: 'publish' });
}

const fail = (message: string): Decision => step({ kind: 'close-operation', failed: true, message });
