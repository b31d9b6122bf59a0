import * as z from 'zod';
import { ApiRefusal } from '../adapters/tenant-api-client.ts';
import { ControlPlaneError } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import type { CustomResourceAnswer, CustomResourceEvent } from '../core/wire/custom-resource.ts';
import { type CredentialsDeps, keepCredentials } from './credentials.ts';
import { observe } from './observe.ts';
import { put, remove, unprotect } from './perform.ts';
import { type Ask, hasMade, isNew, isRefused, type Progress, plan, refusedId } from './plan.ts';
import { type CredentialsWish, readRequest } from './request.ts';

export interface RunDeps extends CredentialsDeps {
  readonly log: Log;
  /** Of the function's own role: what it made is the stack's. */
  readonly roleName: string;
  readonly remainingMs: () => number;
}

export type Outcome =
  | { readonly kind: 'answer'; readonly answer: CustomResourceAnswer }
  /** This invocation's time is nearly over: go on in the next one. */
  | { readonly kind: 'continue'; readonly progress: Progress };

const pollMs = { first: 500, most: 10_000 } as const;
/** One look and one call fit into this. */
const reserveMs = 90_000;

/** Works on one event of CloudFormation until it can be answered, or until this invocation's time is nearly over. */
export async function run(
  event: CustomResourceEvent,
  begun: Progress | undefined,
  deps: RunDeps,
): Promise<Outcome> {
  const { log, clock } = deps;
  const startedAt = clock.now().toISOString();
  const fallback =
    'PhysicalResourceId' in event ? event.PhysicalResourceId : refusedId(event.LogicalResourceId);
  let progress: Progress = begun ?? { startedAt };
  let ask: Ask | undefined;
  try {
    if (
      'PhysicalResourceId' in event &&
      event.RequestType === 'Delete' &&
      isRefused(event.PhysicalResourceId)
    )
      return succeed(event.PhysicalResourceId);
    const request = readRequest(event);
    ask = request.ask;
    let pause: number = pollMs.first;
    for (;;) {
      const step = await advance(ask, progress, request.credentials, deps);
      if ('answer' in step) return step;
      if (step.why !== undefined) {
        log.info('waiting', { tenantId: ask.wish.tenantId, why: step.why });
        await clock.sleep(pause);
        pause = Math.min(pause * 1.5, pollMs.most);
      } else pause = pollMs.first;
      progress = step.progress;
      if (deps.remainingMs() < reserveMs) return { kind: 'continue', progress };
    }
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) log.error('the resource failed', { error });
    return fail(reasonOf(error), ask, progress, fallback, deps);
  }
}

const reasonOf = (error: unknown): string => {
  if (error instanceof z.ZodError) return `What came is not what was expected: ${z.prettifyError(error)}`;
  return error instanceof Error ? error.message : String(error);
};

interface Step {
  readonly progress: Progress;
  /** What has to be waited for before the next look. */
  readonly why?: string;
}

/** One look, one move. @throws ControlPlaneError when the API refuses */
async function advance(
  ask: Ask,
  before: Progress,
  credentials: CredentialsWish,
  deps: RunDeps,
): Promise<Step | Extract<Outcome, { kind: 'answer' }>> {
  let progress = before;
  try {
    const seen = await observe(ask, progress, deps.api);
    if (isNew(ask) && !progress.created && hasMade(seen, progress, deps.roleName))
      progress = { ...progress, created: true };
    const move = plan(ask, seen, progress, deps.roleName, deps.clock.now());
    switch (move.do) {
      case 'put':
        return { progress: await put(ask, progress, deps.api) };
      case 'delete':
        return { progress: await remove(ask, progress, deps.api) };
      case 'unprotect':
        return { progress: await unprotect(ask, progress, deps.api) };
      case 'wait':
        return { progress, why: move.why };
      case 'fail':
        return await fail(move.reason, ask, progress, refusedId(ask.wish.tenantId), deps);
      case 'finish':
        if (ask.kind === 'delete') return succeed(ask.physicalId);
        if (move.note) deps.log.info(move.note, { tenantId: ask.wish.tenantId });
        return await finish(ask.wish.tenantId, credentials, deps);
    }
  } catch (error) {
    const passing = error instanceof ControlPlaneError && error.retryable;
    const late = deps.clock.now().getTime() > Date.parse(progress.startedAt) + ask.wish.timeoutMs;
    if (!passing || late) throw error;
    return { progress, why: error.message };
  }
}

async function finish(tenantId: string, credentials: CredentialsWish, deps: RunDeps) {
  const { where, written } = await keepCredentials(credentials, deps);
  if (written) deps.log.info('secret written', { tenantId, what: written });
  return succeed(tenantId, {
    TenantId: tenantId,
    Endpoints: where.endpoints,
    DnsEndpoint: where.dnsEndpoint,
    DnsName: where.dnsName,
    ClusterId: where.clusterId,
    SecretArn: credentials.SecretArn,
  });
}

/**
 * What this ask has made goes again: with a create, CloudFormation sends a Delete for the physical id; with a change of
 * name it may not, so it is done here.
 */
async function fail(
  reason: string,
  ask: Ask | undefined,
  progress: Progress,
  fallback: string,
  deps: RunDeps,
): Promise<Extract<Outcome, { kind: 'answer' }>> {
  const answer = (physicalId: string) =>
    ({ kind: 'answer', answer: { status: 'FAILED', physicalId, reason } }) as const;
  deps.log.warn('failed', { tenantId: ask?.wish.tenantId, reason });
  if (ask === undefined) return answer(fallback);
  if (ask.kind === 'create')
    return answer(progress.created ? ask.wish.tenantId : refusedId(ask.wish.tenantId));
  if (isNew(ask) && progress.created) {
    const leftover = {
      kind: 'delete',
      wish: { ...ask.wish, finalBackup: false },
      physicalId: ask.wish.tenantId,
    } as const;
    await remove(leftover, progress, deps.api).catch((error: unknown) =>
      deps.log.error('what the failed change of name has made is left over', { error }),
    );
  }
  return answer(ask.physicalId);
}

const succeed = (
  physicalId: string,
  data?: Record<string, string>,
): Extract<Outcome, { kind: 'answer' }> => ({
  kind: 'answer',
  answer: { status: 'SUCCESS', physicalId, ...(data ? { data } : {}) },
});

/** The schedule's daily look. A tenant that is gone has nothing to connect to. */
export async function renew(
  wish: CredentialsWish,
  deps: CredentialsDeps & { readonly log: Log },
): Promise<void> {
  try {
    const { written } = await keepCredentials(wish, deps);
    deps.log.info(written ? 'secret written' : 'credentials are good', {
      tenantId: wish.TenantId,
      what: written,
    });
  } catch (error) {
    if (!(error instanceof ApiRefusal) || !['not-found', 'deleting'].includes(error.code)) throw error;
    deps.log.warn('no credentials renewed', { tenantId: wish.TenantId, reason: error.message });
  }
}
