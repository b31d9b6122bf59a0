import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { EcsTaskRuntime } from '../adapters/ecs-task-runtime.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { StsStorageAccess } from '../adapters/sts-storage-access.ts';
import { systemClock } from '../adapters/system-clock.ts';
import { createPki } from '../pki/x509-pki.ts';
import { envSchema } from './env.ts';
import { answer, type HttpAnswer } from './route.ts';

const env = envSchema.parse(process.env);
const deps = {
  cell: env.CELL,
  store: new DynamoTenantStore({ tableName: env.TABLE_NAME, clock: systemClock }),
  runtime: new EcsTaskRuntime(),
  vault: new KmsKeyVault({ keyArn: env.KEY_ARN }),
  storage: new StsStorageAccess({ keyArn: env.KEY_ARN }),
  pki: createPki({ clock: systemClock }),
  dispatcher: new SqsDispatcher({ queues: env.CELL.queues }),
  clock: systemClock,
  ids: randomIds(systemClock),
  log: jsonLog({ clock: systemClock, fields: { function: 'join' } }),
};

/** The private REST API's calls of nannies. */
export const handler = (event: unknown): Promise<HttpAnswer> => answer(deps, event);
