import { NotFoundError, TransientError } from '../../lambdas/core/errors.ts';
import type { Cell, NameRegistry } from '../../lambdas/core/ports.ts';

/** Cloud Map in memory. */
export class InMemoryNameRegistry implements NameRegistry {
  readonly services = new Map<string, { tenantId: string; instances: Map<string, string> }>();

  serviceOf(tenantId: string): { instances: ReadonlyMap<string, string> } | undefined {
    for (const service of this.services.values()) if (service.tenantId === tenantId) return service;
    return undefined;
  }

  async ensureService(cell: Cell, tenantId: string): Promise<{ serviceId: string }> {
    const serviceId = `srv-${cell.id}-${tenantId}`;
    if (!this.services.has(serviceId)) this.services.set(serviceId, { tenantId, instances: new Map() });
    return { serviceId };
  }

  async register(serviceId: string, memberName: string, ip: string): Promise<void> {
    const service = this.services.get(serviceId);
    if (service === undefined) throw new NotFoundError(`Cloud Map has no service ${serviceId}.`);
    service.instances.set(memberName, ip);
  }

  async deregister(serviceId: string, memberName: string): Promise<void> {
    this.services.get(serviceId)?.instances.delete(memberName);
  }

  async listInstances(serviceId: string): Promise<Record<string, string>> {
    return Object.fromEntries(this.services.get(serviceId)?.instances ?? []);
  }

  async deleteService(serviceId: string): Promise<void> {
    if ((this.services.get(serviceId)?.instances.size ?? 0) > 0) {
      throw new TransientError(`Cloud Map service ${serviceId} still has instances. Try again later.`);
    }
    this.services.delete(serviceId);
  }
}
