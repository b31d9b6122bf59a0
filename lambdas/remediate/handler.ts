import { CloudMapNameRegistry } from '../adapters/cloud-map-name-registry.ts';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { Ec2Volumes } from '../adapters/ec2-volumes.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { NannyHttpClient } from '../adapters/nanny-http-client.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { S3BackupObjects } from '../adapters/s3-backup-objects.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock as clock } from '../adapters/system-clock.ts';
import { deadlineOf, type InvocationContext } from '../core/invocation.ts';
import { serveLooks } from '../core/looks.ts';
import { reconcile } from '../core/reconcile.ts';
import { envSchema } from './env.ts';
import { remediateWork } from './work.ts';

const env = envSchema.parse(process.env);
const [cell, log] = [env.CELL, jsonLog({ clock, fields: { function: 'remediate' } })];
const store = new DynamoTenantStore({ tableName: env.TABLE_NAME, clock });
const dispatcher = new SqsDispatcher({ queues: cell.queues });
const nannies = new NannyHttpClient({ keyVault: new KmsKeyVault({ keyArn: env.KEY_ARN }) });
const [runtime, names, ids] = [new EcsTaskRuntime(), new CloudMapNameRegistry(), randomIds(clock)];
const objects = new S3BackupObjects({ bucket: cell.backupBucket });
const volumes = new Ec2Volumes();
const deps = { cell, store, runtime, names, nannies, objects, volumes, dispatcher, clock, ids, log };
const work = remediateWork(deps);
export const handler = (event: unknown, context: InvocationContext) =>
  serveLooks(event, log, (tenantId) => reconcile(deps, work, tenantId, deadlineOf(context, clock)));
