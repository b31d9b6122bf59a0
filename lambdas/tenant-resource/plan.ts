import type { TenantDocument } from '../core/tenant-document.ts';
import { windowOpens } from '../core/window.ts';

/** What a template says of a tenant. */
export interface Wish {
  readonly tenantId: string;
  /** The fields that the template states, and the defaults of those that it no longer states. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** A tenant that is there already may be taken over. */
  readonly adopt: boolean;
  readonly finalBackup: boolean;
  readonly timeoutMs: number;
}

export type Ask =
  | { readonly kind: 'create'; readonly wish: Wish }
  | { readonly kind: 'update'; readonly wish: Wish; readonly physicalId: string }
  | { readonly kind: 'delete'; readonly wish: Wish; readonly physicalId: string };

/** What has been done of an ask so far. Survives in the event when the function goes on in another invocation. */
export interface Progress {
  readonly startedAt: string;
  /** This very ask has made the tenant: if it fails, the tenant goes again. */
  readonly created?: boolean;
  readonly operationId?: string;
  /** What the API said last: nothing to change, an operation was begun, not now, or deletion protection. */
  readonly answer?: 'agreed' | 'accepted' | 'busy' | 'protected';
  /** A version has to be sent alone, after all else. */
  readonly split?: boolean;
}

export interface Seen {
  readonly tenant?: Pick<
    TenantDocument,
    'phase' | 'reason' | 'operation' | 'remediation' | 'spec' | 'createdAt'
  >;
  /** ARN of whoever asked for its creation; absent when that is no longer known. */
  readonly creator?: string;
  /** How the operation of `progress` stands. */
  readonly tracked?: { readonly kind: string; readonly state: string; readonly message: string };
}

export type Move =
  | { readonly do: 'put' }
  | { readonly do: 'delete' }
  /** Lifts deletion protection of a tenant that has never held anything. */
  | { readonly do: 'unprotect' }
  | { readonly do: 'wait'; readonly why: string }
  /** The tenant is as wanted; `note` says what it still waits for. */
  | { readonly do: 'finish'; readonly note?: string }
  | { readonly do: 'fail'; readonly reason: string };

/** Physical id of what was never made, so that the Delete of CloudFormation's rollback touches nothing. */
export const refusedId = (tenantId: string): string => `refused:${tenantId}`;
export const isRefused = (physicalId: string): boolean => physicalId.startsWith('refused:');

/** The ask is for a tenant that this resource did not stand for until now. */
export const isNew = (ask: Ask): boolean =>
  ask.kind === 'create' || (ask.kind === 'update' && ask.physicalId !== ask.wish.tenantId);

/** Clocks of the function and of the API may differ by so much. */
const skewMs = 5_000;

/** Whether this ask has made the tenant, also when the answer to its request was lost. */
export const hasMade = (seen: Seen, progress: Progress, roleName: string): boolean =>
  isBy(seen.creator, roleName) &&
  seen.tenant?.phase !== 'deleting' &&
  Date.parse(seen.tenant?.createdAt ?? '') >= Date.parse(progress.startedAt) - skewMs;

const isBy = (arn: string | undefined, roleName: string): boolean =>
  arn?.split(':').at(-1)?.split('/')[1] === roleName;

/** Level-triggered: the same look at the world gives the same move, however often it is asked. */
export function plan(ask: Ask, seen: Seen, progress: Progress, roleName: string, now: Date): Move {
  const { tenant } = seen;
  const { tenantId, timeoutMs } = ask.wish;
  const minutes = Math.round(timeoutMs / 60_000);
  const deadline = Date.parse(progress.startedAt) + timeoutMs;
  const wait = (why: string): Move =>
    now.getTime() < deadline
      ? { do: 'wait', why }
      : { do: 'fail', reason: `Tenant "${tenantId}" was not ready within ${minutes} minutes: ${why}` };
  if (ask.kind === 'delete') return planDelete(seen, progress, wait);

  if (tenant === undefined) {
    if (!isNew(ask) || progress.created)
      return {
        do: 'fail',
        reason: `Tenant "${tenantId}" is gone: somebody deleted it, not this stack. ${afterLoss}`,
      };
    return now.getTime() < deadline ? { do: 'put' } : wait('it could not be created');
  }
  if (isNew(ask)) {
    if (tenant.phase === 'deleting') return wait('a tenant of this name is still being deleted');
    if (!progress.created && !ask.wish.adopt && !(ask.kind === 'update' && isBy(seen.creator, roleName)))
      return { do: 'fail', reason: takenText(tenantId) };
  }
  if (tenant.phase === 'deleting')
    return { do: 'fail', reason: `Tenant "${tenantId}" is being deleted, not by this stack. ${afterLoss}` };
  if (tenant.phase === 'failed')
    return {
      do: 'fail',
      reason: `Tenant "${tenantId}" has failed: ${tenant.reason ?? 'its timeline says why'}`,
    };

  const { operation } = tenant;
  if (operation === null) {
    if (progress.answer === 'agreed') return { do: 'finish' };
    if (progress.answer === 'accepted' && seen.tracked?.state === 'failed') {
      const { kind, message } = seen.tracked;
      return { do: 'fail', reason: `The ${kind} of tenant "${tenantId}" failed: ${message}` };
    }
    if (now.getTime() < deadline) return { do: 'put' };
    return wait(tenant.remediation?.message ?? 'it does not come to what the template says');
  }
  if (progress.answer === undefined) return { do: 'put' };
  const opens = heeds.includes(operation.kind) && windowOpens(tenant.spec.maintenanceWindow, now);
  if (opens && opens.getTime() >= deadline && progress.answer !== 'busy')
    return {
      do: 'finish',
      note: `its ${operation.kind} waits for the maintenance window at ${opens.toISOString()}`,
    };
  return wait(`its ${operation.kind} goes on: ${operation.message}`);
}

/** Operations that wait for the maintenance window. */
const heeds: readonly string[] = ['patch', 'resize'];

function planDelete({ tenant }: Seen, { answer }: Progress, wait: (why: string) => Move): Move {
  if (tenant === undefined) return { do: 'finish' };
  if (tenant.phase === 'deleting') return wait(tenant.operation?.message ?? 'it is being deleted');
  if (answer !== 'protected') return { do: 'delete' };
  // The rollback of a create that never came to anything must not be held up.
  if (tenant.phase === 'creating' || tenant.phase === 'failed') return { do: 'unprotect' };
  return {
    do: 'fail',
    reason:
      'The tenant has deletion protection, and so the stack cannot delete it. Deploy it with deletionProtection: false ' +
      'first, or keep the tenant with removalPolicy RETAIN.',
  };
}

const afterLoss =
  'Nothing was changed, because an empty cluster in its place would look like data loss. Its backups stay for 35 days ' +
  '(nanny backups); remove the resource from the stack, or give it another tenantName.';

const takenText = (tenantId: string): string =>
  `There is a tenant "${tenantId}" already, and this resource did not make it. Choose another tenantName, or take it over ` +
  'with adopt: true; from then on the stack changes and deletes it. (Was the construct moved in the app? Then move it back: ' +
  'CloudFormation would delete the tenant with the former resource.)';
