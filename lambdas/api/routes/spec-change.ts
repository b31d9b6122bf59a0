import { dutyOf } from '../../core/duty.ts';
import { membersIn, membersOf, withMembers } from '../../core/members.ts';
import type { Member } from '../../core/model/member.ts';
import type { Operation, OperationKind } from '../../core/model/operation.ts';
import type { TenantSpec } from '../../core/model/spec.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { minorOf } from '../../core/version-rules.ts';
import type { Context } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { dispatch, ended, newOperation, record } from '../operations.ts';
import { notePlace } from '../placement.ts';
import { changedFields, type ReadSpec, requireFitting, withFields } from '../spec-input.ts';
import { requireVersionStep, type WorkKind, workFor } from '../spec-work.ts';
import { announce, dueNow, refuseWhileDeleting, requireIdle, withOperation } from '../start-operation.ts';
import { cellOf, changeTenant, currentOperation, documentOf } from '../tenant-access.ts';

/**
 * Brings an existing tenant's spec to what was asked for, or says why not. Fields that need work start one operation;
 * all others are changed at once, by the same write.
 * @param renew a version that is there already means: with the image of now
 */
export async function applySpec(
  tenant: TenantRecord,
  wanted: ReadSpec,
  context: Context,
  renew = false,
): Promise<Answer> {
  const { deps } = context;
  let text = '';
  let operation = newOperation(context, tenant.tenantId, 'update', '');
  const { tenant: saved, changed } = await changeTenant(deps, tenant.tenantId, (newest) => {
    refuseWhileDeleting(newest);
    const names = changedFields(wanted.input, newest.spec);
    if (names.length === 0) {
      if (!renew || wanted.input.version === undefined || !needsImage(context, newest)) return undefined;
      requireIdle(newest);
      operation = {
        ...operation,
        kind: 'patch',
        message: 'Patching asked for: members get the image of now',
      };
      return withOperation(newest, operation, deps.clock.now());
    }
    // Nothing runs that would have to be changed: whoever wakes it up makes it as the spec is by then.
    const asleep = newest.status.phase === 'hibernated' && newest.operation === undefined;
    const work = asleep ? undefined : workFor(names);
    if (asleep && names.includes('version'))
      requireVersionStep(newest, requireFitting(withFields(newest.spec, wanted, names)).version);
    const spec = requireFitting(withFields(newest.spec, wanted, names));
    text = names.map((name) => told(name, newest.spec, spec)).join(', ');
    if (work === undefined) {
      operation = { ...operation, kind: 'update', message: text };
      const changed = withSpec(newest, spec, newest.observedGeneration === newest.generation);
      return isUnderWay(newest) ? dueNow(changed, deps.clock.now()) : changed;
    }
    if (goesAlong(newest, work)) {
      operation = { ...operation, ...newest.operation };
      return withSpec(newest, spec, false);
    }
    requireIdle(newest);
    if (work === 'patch') requireVersionStep(newest, spec.version);
    const minorStep = minorOf(newest.spec.version) !== minorOf(spec.version);
    const note = minorStep ? ' (a full backup is taken before)' : '';
    operation = { ...operation, kind: work, message: `${purposes[work]} asked for: ${text}${note}` };
    return withOperation(withSpec(newest, spec, false), operation, deps.clock.now());
  });
  if (!changed) {
    const latest = await latestOperation(context, saved);
    return { status: 200, body: { tenant: await documentOf(deps, saved), operation: latest } };
  }
  if (saved.spec.members !== tenant.spec.members) await notePlace(deps, saved);
  operation = await follow(context, saved, operation, text);
  return { status: 202, body: { tenant: await documentOf(deps, saved), operation } };
}

/** A deploy has brought another image since its members were launched, and nobody is at it yet. */
function needsImage({ deps }: Context, tenant: TenantRecord): boolean {
  if (tenant.operation?.kind === 'patch') return false;
  const now = cellOf(deps, tenant).taskDefinitions[tenant.spec.volume];
  return membersIn(tenant, 'voting').some(({ made }) => made !== undefined && made.taskDefinition !== now);
}

const purposes: Readonly<Record<WorkKind, string>> = {
  scale: 'Scaling',
  resize: 'Resizing',
  patch: 'Patching',
};

/** Writes what the record says now where people look for it. */
async function follow(
  context: Context,
  saved: TenantRecord,
  operation: Operation,
  text: string,
): Promise<Operation> {
  const { deps } = context;
  if (operation.kind === 'update') {
    const done = ended(operation, 'succeeded', text, deps.clock.now());
    await deps.store.putOperation(done);
    await record(deps, done, 'done', `Spec changed: ${text}`);
    // What is under way may wait for just that: its window, or a time-out.
    if (isUnderWay(saved)) await dispatch(deps, saved, dutyOf(saved));
    return done;
  }
  const running = await deps.store.getOperation(saved.tenantId, operation.operationId);
  if (running === undefined) {
    await announce(context, saved, operation);
    return operation;
  }
  await record(deps, running, 'decided', `The ${running.kind} under way takes this along: ${text}`);
  return running;
}

const isUnderWay = ({ operation, remediation }: TenantRecord): boolean =>
  operation !== undefined || remediation !== undefined;

/**
 * A scale or resize under way is steered by the spec alone, so it takes a further change of its own kind along. Without
 * this a wish that cannot be met (no capacity, say) could not be taken back.
 */
const goesAlong = (tenant: TenantRecord, work: OperationKind): boolean =>
  work !== 'patch' && tenant.operation?.kind === work;

function withSpec(tenant: TenantRecord, spec: TenantSpec, settled: boolean): TenantRecord {
  const generation = tenant.generation + 1;
  return {
    ...withMembers(
      tenant,
      membersOf(tenant).map((member) => withCompaction(member, tenant.spec)),
    ),
    spec,
    generation,
    observedGeneration: settled ? generation : tenant.observedGeneration,
  };
}

/** A member of before this was noted runs what the spec has been until now. */
const withCompaction = (member: Member, { autoCompaction }: TenantSpec): Member =>
  member.made === undefined || member.made.autoCompaction !== undefined
    ? member
    : { ...member, made: { ...member.made, autoCompaction } };

const told = (name: keyof TenantSpec, before: TenantSpec, after: TenantSpec): string =>
  `${name} ${show(before[name])} → ${show(after[name])}`;

const show = (value: unknown): string =>
  value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

/** The operation under way, else the newest one. */
async function latestOperation(context: Context, tenant: TenantRecord): Promise<Operation> {
  const { deps } = context;
  const current = await currentOperation(deps, tenant);
  if (current) return current;
  if (tenant.operation) {
    // The API was cut off between the record and the operation's item: write what is missing.
    const { operationId, kind } = tenant.operation;
    const repaired = {
      ...newOperation(context, tenant.tenantId, kind, 'Waiting to be taken up'),
      operationId,
      ...(kind === 'create' && { createdAt: tenant.createdAt }),
    };
    await deps.store.putOperation(repaired);
    return repaired;
  }
  const { items } = await deps.store.listOperations(tenant.tenantId, { limit: 1 });
  return (
    items[0] ??
    ended(
      newOperation(context, tenant.tenantId, 'update', ''),
      'succeeded',
      'Nothing to change',
      deps.clock.now(),
    )
  );
}
