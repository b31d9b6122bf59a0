import { respond } from '../adapters/custom-resource-responder.ts';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { systemClock } from '../adapters/system-clock.ts';
import { customResourceEventSchema } from '../core/wire/custom-resource.ts';
import { envSchema } from './env.ts';
import { guard } from './guard.ts';

const env = envSchema.parse(process.env);
const clock = systemClock;
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const log = jsonLog({ clock, fields: { function: 'guard' } });

export async function handler(raw: unknown): Promise<void> {
  const event = customResourceEventSchema.parse(raw);
  const answer = await guard(event, { store }).catch((error: unknown) => {
    log.error('tenants cannot be counted', { error });
    const reason = `Whether tenants live cannot be told: ${error instanceof Error ? error.message : error}`;
    return { status: 'FAILED', physicalId: 'tenant-guard', reason } as const;
  });
  log.info('answered', { request: event.RequestType, ...answer });
  await respond(event, answer, { sleep: (ms) => clock.sleep(ms) });
}
