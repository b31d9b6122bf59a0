import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import { Keys, keyProvider } from './keys.ts';
import { kmsService } from './service.ts';

/** KMS: symmetric keys in `<stateDir>/kms`. */
export function createModule(context: CloudContext): ServiceModule {
  const keys = new Keys(context);
  return { services: [kmsService(keys, context.accountId)], providers: [keyProvider(keys)] };
}
