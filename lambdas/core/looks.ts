import * as z from 'zod';
import { tenantIdSchema } from './model/names.ts';
import type { Log } from './ports.ts';

const batchSchema = z.object({
  Records: z.array(z.object({ messageId: z.string(), body: z.string() })),
});

/** "Look at tenant X", or an ECS task event, which names the tenant in `startedBy`. */
const messageSchema = z.union([
  z.object({ tenantId: tenantIdSchema }).transform(({ tenantId }) => tenantId),
  z
    .object({ 'detail-type': z.literal('ECS Task State Change'), detail: z.looseObject({}) })
    .transform(({ detail }) => tenantOfTask(detail)),
  z
    .object({
      'detail-type': z.literal('CloudWatch Alarm State Change'),
      detail: z.looseObject({ alarmName: z.string() }),
    })
    .transform(({ detail }) => tenantOfAlarm(detail.alarmName)),
  // Of the whole fleet, not of a tenant: the sweep serves it by itself.
  z.object({ fleet: z.literal('patch') }).transform(() => undefined),
  // Notices of AWS name tasks, not tenants: the sweep reads them itself.
  z.object({ 'detail-type': z.literal('AWS Health Event') }).transform(() => undefined),
]);

const startedByPrefix = 'etcd-nanny/';

/** A task that comes up tells of itself through join; here only its end is news. */
function tenantOfTask({ startedBy, lastStatus }: Record<string, unknown>): string | undefined {
  if (lastStatus !== 'STOPPED') return undefined;
  if (typeof startedBy !== 'string' || !startedBy.startsWith(startedByPrefix)) return undefined;
  return tenantIdSchema.safeParse(startedBy.slice(startedByPrefix.length)).data;
}

/**
 * Of `<deployment>/<tenantId>/<what>`; the rule lets only alarms of this deployment in. Whichever way it turned: what the alarm
 * saw is looked at, never believed.
 */
function tenantOfAlarm(alarmName: string): string | undefined {
  const [, tenantId, what] = alarmName.split('/');
  return what === undefined ? undefined : tenantIdSchema.safeParse(tenantId).data;
}

export interface BatchAnswer {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

/**
 * Serves one SQS batch: each tenant once, however many messages name it. A message that says nothing we know is
 * logged and acknowledged, since it would never get better; a look that failed is reported as failed, so SQS sends it
 * again, and after some times to the dead-letter queue.
 */
export async function serveLooks(
  rawEvent: unknown,
  log: Log,
  look: (tenantId: string) => Promise<unknown>,
): Promise<BatchAnswer> {
  const { Records } = batchSchema.parse(rawEvent);
  const byTenant = new Map<string, string[]>();
  for (const { messageId, body } of Records) {
    const parsed = messageSchema.safeParse(parseJson(body));
    if (!parsed.success) {
      log.error('A message on the queue is none of ours; it is dropped.', {
        messageId,
        body: body.slice(0, 500),
      });
    } else if (parsed.data !== undefined) {
      byTenant.set(parsed.data, [...(byTenant.get(parsed.data) ?? []), messageId]);
    }
  }
  const failed = await Promise.all(
    [...byTenant].map(async ([tenantId, messageIds]) => {
      try {
        const result = await look(tenantId);
        log.info('looked', { tenantId, result });
        return [];
      } catch (error) {
        log.error('The look failed; SQS will send it again.', { tenantId, error });
        return messageIds;
      }
    }),
  );
  return { batchItemFailures: failed.flat().map((itemIdentifier) => ({ itemIdentifier })) };
}

/** Whether a batch asks for a look at the fleet patch. */
export const namesFleet = (rawEvent: unknown): boolean =>
  batchSchema
    .parse(rawEvent)
    .Records.some(({ body }) => z.object({ fleet: z.literal('patch') }).safeParse(parseJson(body)).success);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
