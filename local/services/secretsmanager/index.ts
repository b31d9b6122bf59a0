import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import { Secrets } from './secrets.ts';
import { secretsService } from './service.ts';

/** Secrets Manager: secrets of stacks that are deployed to this cloud, in `<stateDir>/secretsmanager`. */
export function createSecretsManager(context: CloudContext): ServiceModule {
  const secrets = new Secrets(context);
  return { services: [secretsService(secrets, context)], providers: [secrets.provider()] };
}
