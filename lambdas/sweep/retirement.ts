import * as z from 'zod';
import { dutyOf } from '../core/duty.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { withRemediation } from '../core/perform-remediation.ts';
import { updateTenant } from '../core/update-tenant.ts';
import type { SweepDeps } from './sweep.ts';

type Deps = Omit<SweepDeps, 'metrics'>;

const noticeSchema = z.object({
  'detail-type': z.literal('AWS Health Event'),
  detail: z.object({
    service: z.literal('ECS'),
    startTime: z.string().optional(),
    affectedEntities: z.array(z.object({ entityValue: z.string() })).default([]),
  }),
});

const batchSchema = z.object({ Records: z.array(z.object({ body: z.string() })) });

export interface Retirement {
  readonly taskArns: readonly string[];
  /** When AWS is going to stop the tasks, as AWS writes it. */
  readonly date: string | undefined;
}

/** Fargate's retirement notices among the messages of one batch. */
export function retirementsIn(rawEvent: unknown): Retirement[] {
  return batchSchema.parse(rawEvent).Records.flatMap(({ body }) => {
    const notice = noticeSchema.safeParse(parseJson(body));
    if (!notice.success) return [];
    const { affectedEntities, startTime } = notice.data.detail;
    const taskArns = affectedEntities
      .map(({ entityValue }) => entityValue)
      .filter((value) => value.includes(':task/'));
    return [{ taskArns, date: startTime }];
  });
}

/** Marks the members whose tasks AWS is going to retire: each is replaced by surge long before the date. */
export async function noteRetirements(deps: Deps, retirements: readonly Retirement[]): Promise<number> {
  let marked = 0;
  for (const { taskArns, date } of retirements) {
    const tasks = taskArns.length === 0 ? [] : await deps.runtime.describe(deps.cell, taskArns);
    for (const { taskArn, tenantId } of tasks) {
      const tenant = tenantId === undefined ? undefined : await deps.store.get(tenantId);
      if (tenant === undefined) continue;
      const reason = `AWS retires its task${date === undefined ? '' : ` on ${date}`}`;
      const { saved, tenant: next } = await updateTenant(deps, tenant, (stored) =>
        withRetirement(stored, taskArn, reason, deps),
      );
      if (!saved || next === undefined) continue;
      marked += 1;
      await deps.dispatcher.look(next.tenantId, dutyOf(next));
    }
  }
  return marked;
}

function withRetirement(
  tenant: TenantRecord,
  taskArn: string,
  reason: string,
  { clock, ids }: Deps,
): TenantRecord | undefined {
  const member = Object.values(tenant.members).find((each) => 'taskArn' in each && each.taskArn === taskArn);
  if (member?.state !== 'voting' || member.name in (tenant.replaceRequests ?? {})) return undefined;
  const asked = { ...tenant, replaceRequests: { ...tenant.replaceRequests, [member.name]: reason } };
  // An operation under way replaces whoever is asked for by itself.
  if (tenant.operation !== undefined || tenant.paused !== undefined) return asked;
  return withRemediation(asked, 'remediate', `${member.name}: ${reason}`, clock.now(), ids) ?? asked;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
