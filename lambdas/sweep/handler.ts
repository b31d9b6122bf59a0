import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { Ec2Volumes } from '../adapters/ec2-volumes.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { emfMetrics } from '../adapters/emf-metrics.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { NannyHttpClient } from '../adapters/nanny-http-client.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { deadlineOf, type InvocationContext } from '../core/invocation.ts';
import { namesFleet, serveLooks } from '../core/looks.ts';
import { versionGate as gate } from '../patch/gate.ts';
import { sweepDisks } from './disks.ts';
import { envSchema } from './env.ts';
import { serveFleet } from './fleet/turn.ts';
import { noteRetirements, retirementsIn } from './retirement.ts';
import { sweepDue, sweepTenant } from './sweep.ts';
import { tellFleet } from './tell-fleet.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'sweep' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const nannies = new NannyHttpClient({ keyVault: new KmsKeyVault({ keyArn: env.KEY_ARN }) });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const [runtime, ids, volumes] = [new EcsTaskRuntime(), randomIds(clock), new Ec2Volumes()];
const metrics = emfMetrics({ namespace: env.METRICS_NAMESPACE, clock });
const deps = { cell, store, runtime, volumes, nannies, dispatcher, clock, ids, log, metrics, gate };

/** The schedule comes straight from EventBridge, looks and task events through the queue. */
export const handler = async (event: { Records?: unknown }, context: InvocationContext) => {
  const fleet = () => serveFleet(deps, deadlineOf(context, clock));
  if (event.Records === undefined) {
    const due = await sweepDue(deps);
    await tellFleet(deps);
    await fleet();
    await sweepDisks(deps);
    return { due };
  }
  await noteRetirements(deps, retirementsIn(event));
  const answer = await serveLooks(event, log, (tenantId) => sweepTenant(deps, tenantId));
  if (namesFleet(event)) await fleet();
  return answer;
};
