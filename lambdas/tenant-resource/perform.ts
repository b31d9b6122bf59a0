import * as z from 'zod';
import { ApiRefusal, type TenantApiClient } from '../adapters/tenant-api-client.ts';
import { TransientError } from '../core/errors.ts';
import type { Ask, Progress } from './plan.ts';

const answerSchema = z.object({ operation: z.object({ operationId: z.string() }) });

/** Refusals that pass by themselves: the same request is sent again later. */
const passing = ['operation-under-way', 'still-creating', 'recovering', 'conflict', 'members-unhealthy'];

/** Says what the tenant should be. The API finds the difference, and does nothing when there is none. */
export async function put(ask: Ask, before: Progress, api: TenantApiClient): Promise<Progress> {
  const { tenantId, spec } = ask.wish;
  const { version: _, ...others } = spec;
  const { answer: __, ...progress } = before;
  try {
    const { status, body } = await api.call({
      method: 'PUT',
      path: `/v1/tenants/${tenantId}`,
      body: { spec: progress.split ? others : spec },
    });
    const { operationId } = answerSchema.parse(body).operation;
    if (status === 202) return { ...progress, answer: 'accepted', operationId };
    // All the others are there now, and the version has its turn.
    return progress.split ? { ...progress, split: false } : { ...progress, answer: 'agreed', operationId };
  } catch (error) {
    if (!(error instanceof ApiRefusal)) throw error;
    if (error.code === 'one-at-a-time' && !progress.split) return { ...progress, split: true };
    if (!passing.includes(error.code)) throw error;
    // Nothing runs that could be waited for: a moment, then again.
    if (error.code !== 'operation-under-way' && error.code !== 'still-creating')
      throw new TransientError(error.message, { cause: error });
    return { ...progress, answer: 'busy' };
  }
}

export async function remove(ask: Ask, before: Progress, api: TenantApiClient): Promise<Progress> {
  const tenantId = ask.kind === 'delete' ? ask.physicalId : ask.wish.tenantId;
  const { answer: _, ...progress } = before;
  try {
    const path = `/v1/tenants/${tenantId}?finalBackup=${ask.wish.finalBackup}`;
    const { body } = await api.call({ method: 'DELETE', path });
    return { ...progress, answer: 'accepted', operationId: answerSchema.parse(body).operation.operationId };
  } catch (error) {
    if (!(error instanceof ApiRefusal)) throw error;
    if (error.code === 'not-found') return progress;
    if (error.code === 'deletion-protected') return { ...progress, answer: 'protected' };
    throw error;
  }
}

export async function unprotect(ask: Ask, before: Progress, api: TenantApiClient): Promise<Progress> {
  const tenantId = ask.kind === 'delete' ? ask.physicalId : ask.wish.tenantId;
  const { answer: _, ...progress } = before;
  await api.call({
    method: 'PATCH',
    path: `/v1/tenants/${tenantId}`,
    body: { spec: { deletionProtection: false } },
  });
  return progress;
}
