import {
  CreateServiceCommand,
  DeleteServiceCommand,
  DeregisterInstanceCommand,
  ListInstancesCommand,
  RegisterInstanceCommand,
  ServiceAlreadyExists,
  ServiceDiscoveryClient,
} from '@aws-sdk/client-servicediscovery';
import { ControlPlaneError, TransientError } from '../core/errors.ts';
import type { Cell, NameRegistry } from '../core/ports.ts';
import { callAws, clientDefaults, errorName } from './aws-errors.ts';

const addressAttribute = 'AWS_INSTANCE_IPV4';
/** Seconds that resolvers may keep an address: a replaced member must vanish soon. */
const dnsTtlSeconds = 10;

/**
 * Cloud Map. Registering and deregistering go on in the background at AWS: callers compare `listInstances` with what
 * they want and ask again, so no right to poll operations is needed.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | ensureService | servicediscovery:CreateService | the namespace |
 * | register | servicediscovery:RegisterInstance | services |
 * | | route53:ChangeResourceRecordSets | the namespace's hosted zone: Cloud Map writes the record as the caller |
 * | | route53:GetHostedZone, route53:ListHostedZonesByName | `*`: in AWS's own policy for callers of Cloud Map |
 * | deregister | servicediscovery:DeregisterInstance and the three of route53 | as register |
 * | listInstances | servicediscovery:ListInstances | `*` |
 * | deleteService | servicediscovery:DeleteService | services |
 */
export class CloudMapNameRegistry implements NameRegistry {
  readonly #client: ServiceDiscoveryClient;

  constructor(options: { client?: ServiceDiscoveryClient } = {}) {
    this.#client = options.client ?? new ServiceDiscoveryClient(clientDefaults);
  }

  /**
   * The name is unique in its namespace, so a second creation answers with the first one's id. CreatorRequestId is
   * left to the SDK (a fresh one per call): made from the tenant's name, AWS could take the service of a tenant that
   * was deleted and created again for a repetition of the first.
   */
  async ensureService(cell: Cell, tenantId: string): Promise<{ serviceId: string }> {
    const command = new CreateServiceCommand({
      NamespaceId: cell.namespaceId,
      Name: tenantId,
      Description: `etcd members of tenant ${tenantId}`,
      DnsConfig: { RoutingPolicy: 'MULTIVALUE', DnsRecords: [{ Type: 'A', TTL: dnsTtlSeconds }] },
    });
    const serviceId = await callAws('servicediscovery:CreateService', async () => {
      try {
        return (await this.#client.send(command)).Service?.Id;
      } catch (error) {
        if (error instanceof ServiceAlreadyExists) return error.ServiceId;
        throw error;
      }
    });
    if (serviceId === undefined) {
      throw new ControlPlaneError(
        'aws-refused',
        `servicediscovery:CreateService gave no id for the name of tenant ${tenantId}. Remove the Cloud Map ` +
          'service of that name by hand; it will be created again.',
      );
    }
    return { serviceId };
  }

  async register(serviceId: string, memberName: string, ip: string): Promise<void> {
    const command = new RegisterInstanceCommand({
      ServiceId: serviceId,
      InstanceId: memberName,
      Attributes: { [addressAttribute]: ip },
    });
    await this.#unless('servicediscovery:RegisterInstance', ['DuplicateRequest'], () =>
      this.#client.send(command),
    );
  }

  async deregister(serviceId: string, memberName: string): Promise<void> {
    const command = new DeregisterInstanceCommand({ ServiceId: serviceId, InstanceId: memberName });
    await this.#unless(
      'servicediscovery:DeregisterInstance',
      ['InstanceNotFound', 'ServiceNotFound', 'DuplicateRequest'],
      () => this.#client.send(command),
    );
  }

  async listInstances(serviceId: string): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    let token: string | undefined;
    do {
      const command = new ListInstancesCommand({ ServiceId: serviceId, NextToken: token });
      const page = await this.#unless('servicediscovery:ListInstances', ['ServiceNotFound'], () =>
        this.#client.send(command),
      );
      for (const { Id, Attributes } of page?.Instances ?? []) {
        const ip = Attributes?.[addressAttribute];
        if (Id !== undefined && ip !== undefined) found[Id] = ip;
      }
      token = page?.NextToken;
    } while (token !== undefined);
    return found;
  }

  async deleteService(serviceId: string): Promise<void> {
    const command = new DeleteServiceCommand({ Id: serviceId });
    await this.#unless('servicediscovery:DeleteService', ['ServiceNotFound'], async () => {
      try {
        await this.#client.send(command);
      } catch (error) {
        if (errorName(error) !== 'ResourceInUse') throw error;
        throw new TransientError(`Cloud Map service ${serviceId} still has instances. Try again later.`, {
          cause: error,
        });
      }
    });
  }

  async #unless<T>(action: string, harmless: string[], call: () => Promise<T>): Promise<T | undefined> {
    return await callAws(action, async () => {
      try {
        return await call();
      } catch (error) {
        if (harmless.includes(errorName(error))) return undefined;
        throw error;
      }
    });
  }
}
