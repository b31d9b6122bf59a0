import type { TenantStore } from '../core/ports.ts';
import type { CustomResourceAnswer, CustomResourceEvent } from '../core/wire/custom-resource.ts';

const physicalId = 'tenant-guard';
const namedAtMost = 5;

/** Refuses the deletion of the control plane while there are tenants that it looks after. */
export async function guard(
  event: CustomResourceEvent,
  deps: { readonly store: Pick<TenantStore, 'count' | 'list'> },
): Promise<CustomResourceAnswer> {
  const done = { status: 'SUCCESS', physicalId } as const;
  if (event.RequestType !== 'Delete' || event.ResourceProperties.DestroyWithTenants === 'true') return done;
  const [count, { items }] = await Promise.all([deps.store.count(), deps.store.list({ limit: namedAtMost })]);
  if (count === 0 && items.length === 0) return done;
  return { status: 'FAILED', physicalId, reason: refusal(Math.max(count, items.length), items) };
}

function refusal(count: number, names: readonly string[]): string {
  const more = count > names.length ? `, and ${count - names.length} more` : '';
  const who = count === 1 ? `Tenant ${names[0]} lives` : `${count} tenants live (${names.join(', ')}${more})`;
  return (
    `${who} in this deployment, so it is not deleted. Delete each one first (nanny delete ${names[0]} --yes; a final backup ` +
    'is taken), then destroy again. To leave them behind without a control plane: cdk deploy with ' +
    '-c destroyWithTenants=true, then destroy.'
  );
}
