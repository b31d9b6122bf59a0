import { CloudMapNameRegistry } from '../adapters/cloud-map-name-registry.ts';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { Ec2Volumes } from '../adapters/ec2-volumes.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { emfMetrics } from '../adapters/emf-metrics.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { deadlineOf, type InvocationContext } from '../core/invocation.ts';
import { serveLooks } from '../core/looks.ts';
import { reconcile } from '../core/reconcile.ts';
import { envSchema } from './env.ts';
import { deleteWork } from './work.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'delete' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const [runtime, names, ids] = [new EcsTaskRuntime(), new CloudMapNameRegistry(), randomIds(clock)];
const volumes = new Ec2Volumes();
const metrics = emfMetrics({ namespace: env.METRICS_NAMESPACE, clock });
const deps = { cell, store, runtime, names, volumes, dispatcher, clock, ids, log, metrics };
const work = deleteWork(deps);

export const handler = (event: unknown, context: InvocationContext) =>
  serveLooks(event, log, (tenantId) => reconcile(deps, work, tenantId, deadlineOf(context, clock)));
