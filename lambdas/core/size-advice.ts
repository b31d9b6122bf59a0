import { actOn, adviseSize, type HourlyLoad, type SizeAdvice, shrinkHours } from './autoscale.ts';
import { ControlPlaneError } from './errors.ts';
import { membersIn } from './members.ts';
import type { Sizing } from './model/sizing.ts';
import type { SizeClass } from './model/spec.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Clock, Ids, Log, TenantStore } from './ports.ts';
import { updateTenant } from './update-tenant.ts';

/** CloudWatch's figures of one tenant, an hour each. */
export interface LoadHistory {
  /** @throws TransientError when CloudWatch does not answer, ControlPlaneError when it refuses to */
  hours(tenantId: string, from: Date, to: Date): Promise<HourlyLoad[]>;
}

export interface SizeAdviceDeps {
  readonly store: Pick<TenantStore, 'get' | 'save' | 'putOperation' | 'appendEvent'>;
  readonly loads: LoadHistory;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'ulid'>;
  readonly log: Log;
}

const hourMs = 3_600_000;

/** Once an hour, of clusters that run, from their first full hour on: figures are by the hour, and each question costs. */
export const sizeAdviceIsDue = ({ sizing, status, spec, createdAt }: TenantRecord, now: Date): boolean =>
  ['available', 'degraded', 'updating'].includes(status.phase) &&
  (sizing?.size !== spec.size ? createdAt : sizing.at) <= new Date(now.getTime() - hourMs).toISOString();

/**
 * Writes down what the tenant's load asks for and, where its spec has `autoscale`, begins the resize. Level-triggered: the
 * record alone says when it is due. The resize is the ordinary one; the sweep, which is due at once, sends it on its way.
 */
export async function adviseTenant(
  deps: SizeAdviceDeps,
  tenantId: string,
): Promise<'gone' | 'not-due' | 'advised' | 'resizing'> {
  const now = deps.clock.now();
  const tenant = await deps.store.get(tenantId);
  if (tenant === undefined) return 'gone';
  if (!sizeAdviceIsDue(tenant, now)) return 'not-due';
  const { size } = tenant.spec;
  const resized = membersIn(tenant, 'voting').every(({ made }) => made === undefined || made.size === size);
  const noted = tenant.sizing?.size === size ? tenant.sizing.since : newestJoined(tenant);
  const since = (resized ? noted : undefined) ?? now.toISOString();
  const advice = resized
    ? await ask(deps, tenantId, size, since)
    : { reason: `its members are being given the size ${size}: figures are of two sizes until then` };
  const operationId = deps.ids.ulid();
  let began: { readonly to: string } | undefined;
  const { saved, tenant: next } = await updateTenant(deps, tenant, (stored) => {
    began = undefined;
    if (stored.spec.size !== size) return undefined;
    const { changedAt } = stored.sizing ?? {};
    const action = actOn(advice, { spec: stored.spec, sizing: stored.sizing, isIdle: isIdle(stored) }, now);
    const sizing: Sizing = {
      at: now.toISOString(),
      ...advice,
      size,
      since,
      ...(changedAt !== undefined && { changedAt }),
      ...('not' in action && differs(stored, advice.recommended) && { held: action.not }),
    };
    if (!('to' in action)) return { ...stored, sizing };
    began = action;
    return {
      ...stored,
      sizing: { ...sizing, changedAt: now.toISOString() },
      spec: { ...stored.spec, size: action.to },
      generation: stored.generation + 1,
      operation: { operationId, kind: 'resize' },
      nextCheckAt: now.toISOString(),
    };
  });
  if (!saved || next === undefined) return 'not-due';
  if (began === undefined) return 'advised';
  await tell(deps, next, operationId, `Autoscale: size ${size} → ${began.to}: ${advice.reason}`);
  return 'resizing';
}

async function ask(
  deps: SizeAdviceDeps,
  tenantId: string,
  size: SizeClass,
  since: string,
): Promise<SizeAdvice> {
  const now = deps.clock.now();
  const from = new Date(now.getTime() - (shrinkHours + 1) * hourMs);
  return deps.loads.hours(tenantId, from, now).then(
    (hours) => adviseSize(size, hours, now, new Date(since)),
    (error: unknown) => refused(deps, tenantId, error),
  );
}

/**
 * Asked again at once, whoever has refused refuses again: it is said where people look for the advice, and in an hour it is
 * asked again. What passes by itself the queue asks again.
 */
function refused({ log }: SizeAdviceDeps, tenantId: string, error: unknown): SizeAdvice {
  if (!(error instanceof ControlPlaneError) || error.retryable) throw error;
  log.error('CloudWatch does not tell what the tenant uses.', { tenantId, error });
  return {
    reason: `CloudWatch refuses to tell what is used (${error.code}): nothing is advised and nothing done`,
  };
}

const differs = ({ spec }: TenantRecord, recommended: string | undefined): boolean =>
  spec.autoscale !== undefined && recommended !== spec.size;

/** Without a note of ours members have had their size since the newest of them joined. */
const newestJoined = (tenant: TenantRecord): string | undefined =>
  membersIn(tenant, 'voting')
    .map(({ joinedAt }) => joinedAt)
    .sort()
    .at(-1);

const isIdle = ({ status, operation, remediation, paused, pki, lease }: TenantRecord): boolean =>
  status.phase === 'available' &&
  (operation ?? remediation ?? paused ?? lease) === undefined &&
  (pki?.rollover === undefined || pki.rollover.phase === 'grace');

async function tell(
  { store, clock, ids }: SizeAdviceDeps,
  { tenantId }: TenantRecord,
  operationId: string,
  message: string,
): Promise<void> {
  const at = clock.now().toISOString();
  await store.putOperation({
    operationId,
    tenantId,
    kind: 'resize',
    state: 'pending',
    requestedBy: 'etcd-nanny',
    createdAt: at,
    updatedAt: at,
    message,
    steps: [],
  });
  await store.appendEvent({ eventId: ids.ulid(), tenantId, at, kind: 'decided', message, operationId });
}
