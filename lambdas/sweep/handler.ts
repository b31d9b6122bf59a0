import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { NannyHttpClient } from '../adapters/nanny-http-client.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { serveLooks } from '../core/looks.ts';
import { envSchema } from './env.ts';
import { noteRetirements, retirementsIn } from './retirement.ts';
import { sweepDue, sweepTenant } from './sweep.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'sweep' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const nannies = new NannyHttpClient({ keyVault: new KmsKeyVault({ keyArn: env.KEY_ARN }) });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const [runtime, ids] = [new EcsTaskRuntime(), randomIds(clock)];
const deps = { cell, store, runtime, nannies, dispatcher, clock, ids, log };

/** The schedule comes straight from EventBridge, looks and task events through the queue. */
export const handler = async (event: { Records?: unknown }) => {
  if (event.Records === undefined) return { due: await sweepDue(deps) };
  await noteRetirements(deps, retirementsIn(event));
  return serveLooks(event, log, (tenantId) => sweepTenant(deps, tenantId));
};
