import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import { openDynalite } from './dynalite.ts';
import { deleteExpired } from './expiry.ts';
import { dynamodbService } from './service.ts';
import { type ExpiringTables, tableProvider } from './tables.ts';

const expiryIntervalMs = 60_000;

/** DynamoDB: dynalite on disk, its data in `<stateDir>/dynamodb`. */
export async function createModule(context: CloudContext): Promise<ServiceModule> {
  const { accountId, region } = context;
  const dynalite = await openDynalite({ path: path.join(context.stateDir, 'dynamodb'), accountId, region });
  const running = path.join(context.stateDir, 'dynamodb.running');
  const unclean = existsSync(running);
  writeFileSync(running, '');
  const expiring: ExpiringTables = new Map();
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> = Promise.resolve();
  const sweep = async (): Promise<void> => {
    try {
      await deleteExpired(dynalite, expiring, new Date());
    } catch (error) {
      context.log('dynamodb: deleting expired items failed', { error: String(error) });
    }
  };
  return {
    services: [dynamodbService({ dynalite, accountId, region })],
    providers: [tableProvider(dynalite, expiring, unclean)],
    async start() {
      timer = setInterval(() => {
        sweeping = sweeping.then(sweep);
      }, expiryIntervalMs);
    },
    async stop() {
      clearInterval(timer);
      await sweeping;
      await dynalite.close();
      rmSync(running, { force: true });
    },
  };
}
