import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import { NameMap, namespaceProvider } from './registry.ts';
import { servicediscoveryService } from './service.ts';

/** Cloud Map: private DNS namespaces, their services and instances. */
export function createModule(context: CloudContext): ServiceModule {
  const names = new NameMap(context);
  return { services: [servicediscoveryService(names)], providers: [namespaceProvider(names)] };
}
