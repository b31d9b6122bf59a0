import { CloudWatchAlarms } from '../adapters/cloudwatch-alarms.ts';
import { CloudWatchLoads } from '../adapters/cloudwatch-loads.ts';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { serveLooks } from '../core/looks.ts';
import { adviseTenant } from '../core/size-advice.ts';
import { ensureAlarms, removeOrphans } from './alarms.ts';
import { envSchema } from './env.ts';

const env = envSchema.parse(process.env);
const log = jsonLog({ clock, fields: { function: 'alarms' } });
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const settings = {
  deploymentName: env.DEPLOYMENT_NAME,
  topicArn: env.TOPIC_ARN,
  runbookUrl: env.RUNBOOK_URL,
  pageAfterMinutes: env.PAGE_AFTER_MINUTES,
  stormAlarm: env.STORM_ALARM,
};
const alarms = new CloudWatchAlarms({ settings, namespace: env.METRICS_NAMESPACE });
const loads = new CloudWatchLoads({ namespace: env.METRICS_NAMESPACE });
const deps = { store, alarms, loads, settings, clock, log, ids: randomIds(clock) };

/** Looks come through the queue; the schedule asks for what nobody looks for any more. */
export const handler = async (event: { Records?: unknown }) =>
  event.Records === undefined
    ? { removed: await removeOrphans(deps) }
    : await serveLooks(event, log, async (tenantId) => {
        await ensureAlarms(deps, tenantId);
        await adviseTenant(deps, tenantId);
      });
