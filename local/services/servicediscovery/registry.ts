import path from 'node:path';
import { stableId } from '../../aws/names.ts';
import { AwsError, type CloudContext, type ResourceProvider } from '../../aws/service.ts';
import { openStateFile, type StateFile } from '../../aws/state-file.ts';

export interface MapService {
  readonly id: string;
  readonly name: string;
  readonly namespaceId: string;
  readonly creatorRequestId: string;
  readonly createdAt: string;
  readonly description?: string;
  readonly dnsConfig?: unknown;
  /** Instance id → attributes. */
  readonly instances: Record<string, Record<string, string>>;
}

export interface Namespace {
  readonly id: string;
  readonly name: string;
  readonly hostedZoneId: string;
}

export interface Operation {
  readonly id: string;
  readonly type: 'REGISTER_INSTANCE' | 'DEREGISTER_INSTANCE';
  readonly createdAt: string;
  readonly targets: Record<string, string>;
}

interface MapState {
  readonly services: Record<string, MapService>;
}

/** How many finished operations GetOperation remembers. */
const keptOperations = 1_000;

/** Names of one cloud, `<stateDir>/servicediscovery/services.json`. Namespaces come anew from the templates. */
export class NameMap {
  readonly namespaces = new Map<string, Namespace>();
  readonly operations = new Map<string, Operation>();
  readonly #context: Pick<CloudContext, 'accountId' | 'region'>;
  readonly #file: StateFile<MapState>;

  constructor(context: Pick<CloudContext, 'accountId' | 'region' | 'stateDir'>) {
    this.#context = context;
    const file = path.join(context.stateDir, 'servicediscovery', 'services.json');
    this.#file = openStateFile<MapState>(file, { services: {} });
  }

  arn(kind: 'namespace' | 'service', id: string): string {
    return `arn:aws:servicediscovery:${this.#context.region}:${this.#context.accountId}:${kind}/${id}`;
  }

  namespace(id: string): Namespace {
    const found = this.namespaces.get(id);
    if (found !== undefined) return found;
    throw new AwsError('NamespaceNotFound', `No namespace with id ${id} exists.`);
  }

  services(): MapService[] {
    return Object.values(this.#file.state.services);
  }

  service(id: string): MapService {
    const found = this.#file.state.services[id];
    if (found !== undefined) return found;
    throw new AwsError('ServiceNotFound', `Service not found: ${id}`);
  }

  put(service: MapService): void {
    this.#file.state.services[service.id] = service;
    this.#file.save();
  }

  remove(id: string): void {
    delete this.#file.state.services[id];
    this.#file.save();
  }

  /** Work that AWS does in the background is done when the call returns; the operation only tells of it. */
  finished(operation: Operation): string {
    this.operations.set(operation.id, operation);
    const [oldest] = this.operations.keys();
    if (this.operations.size > keptOperations && oldest !== undefined) this.operations.delete(oldest);
    return operation.id;
  }
}

export function namespaceProvider(names: NameMap): ResourceProvider {
  return {
    types: ['AWS::ServiceDiscovery::PrivateDnsNamespace'],
    async provision({ stack, logicalId, properties }) {
      const id = `ns-${stableId(16, stack, logicalId)}`;
      const hostedZoneId = `Z${stableId(20, 'zone', stack, logicalId).toUpperCase()}`;
      names.namespaces.set(id, { id, name: String(properties.Name), hostedZoneId });
      return {
        ref: id,
        attributes: { Arn: names.arn('namespace', id), Id: id, HostedZoneId: hostedZoneId },
      };
    },
  };
}
