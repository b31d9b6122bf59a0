import { handle } from 'hono/aws-lambda';
import { DynamoTenantStore } from '../adapters/dynamo-tenant-store.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { KmsKeyVault } from '../adapters/kms-key-vault.ts';
import { randomIds } from '../adapters/random-ids.ts';
import { S3BackupObjects } from '../adapters/s3-backup-objects.ts';
import { SqsDispatcher } from '../adapters/sqs-dispatcher.ts';
import { systemClock } from '../adapters/system-clock.ts';
import { createPki } from '../pki/x509-pki.ts';
import { createApp } from './app.ts';
import { envSchema } from './env.ts';

const env = envSchema.parse(process.env);
const clock = systemClock;

export const handler = handle(
  createApp({
    store: new DynamoTenantStore({ tableName: env.TABLE_NAME, clock }),
    keyVault: new KmsKeyVault({ keyArn: env.KEY_ARN }),
    pki: createPki({ clock }),
    clock,
    ids: randomIds(clock),
    log: jsonLog({ clock, fields: { function: 'api' } }),
    cells: env.CELLS,
    dispatcherOf: (cell) => new SqsDispatcher({ queues: cell.queues }),
    objectsOf: (cell) => new S3BackupObjects({ bucket: cell.backupBucket }),
    versions: env.ETCD_VERSIONS,
    maxTenants: env.MAX_TENANTS,
    maxTenantsPerCell: env.MAX_TENANTS_PER_CELL,
    authority: env.AUTHORITY,
  }),
);
