import type { TimelineEvent } from '../../../lambdas/core/model/operation.ts';
import type { TestCloud } from './cloud.ts';

/** The whole timeline of a tenant, oldest first. */
export async function timelineOf({ api }: TestCloud, tenantId: string): Promise<TimelineEvent[]> {
  const items = (await api.all(`/v1/tenants/${tenantId}/timeline`)) as TimelineEvent[];
  return items.reverse();
}

/** What the control plane saw and did says more than the assertion that failed. */
export async function printTimelines(cloud: TestCloud, tenantIds: readonly string[]): Promise<void> {
  for (const tenantId of tenantIds) {
    const events = await timelineOf(cloud, tenantId).catch(() => []);
    for (const { at, kind, rule = '', message } of events.slice(-200))
      console.log(tenantId, at, kind, rule, message);
  }
}
