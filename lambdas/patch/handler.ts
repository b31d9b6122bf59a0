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
import { createPki } from '../pki/x509-pki.ts';
import { envSchema } from './env.ts';
import { versionGate as gate } from './gate.ts';
import { patchWork } from './work.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'patch' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const vault = new KmsKeyVault({ keyArn: env.KEY_ARN });
const nannies = new NannyHttpClient({ keyVault: vault });
const [runtime, names, ids] = [new EcsTaskRuntime(), new CloudMapNameRegistry(), randomIds(clock)];
const pki = createPki({ clock });
const metrics = emfMetrics({ namespace: env.METRICS_NAMESPACE, clock });
const deps = { cell, store, runtime, names, nannies, dispatcher, clock, ids, log, metrics, gate, vault, pki };
const work = patchWork(deps);

export const handler = (event: unknown, context: InvocationContext) =>
  serveLooks(event, log, (tenantId) => reconcile(deps, work, tenantId, deadlineOf(context, clock)));
