import { CloudMapNameRegistry } from '../adapters/cloud-map-name-registry.ts';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { emfMetrics } from '../adapters/emf-metrics.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { NannyHttpClient } from '../adapters/nanny-http-client.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { deadlineOf, type InvocationContext } from '../core/invocation.ts';
import { serveLooks } from '../core/looks.ts';
import { reconcile } from '../core/reconcile.ts';
import { envSchema } from './env.ts';
import { scaleWork } from './work.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'scale' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const nannies = new NannyHttpClient({ keyVault: new KmsKeyVault({ keyArn: env.KEY_ARN }) });
const [runtime, names, ids] = [new EcsTaskRuntime(), new CloudMapNameRegistry(), randomIds(clock)];
const metrics = emfMetrics({ namespace: env.METRICS_NAMESPACE, clock });
const deps = { cell, store, runtime, names, nannies, dispatcher, clock, ids, log, metrics };
const work = scaleWork(deps);

export const handler = (event: unknown, context: InvocationContext) =>
  serveLooks(event, log, (tenantId) => reconcile(deps, work, tenantId, deadlineOf(context, clock)));
