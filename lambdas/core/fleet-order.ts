import type { Rollout } from './model/rollout.ts';
import { waves } from './model/rollout.ts';

/** FNV-1a, 32 bits, as eight hex digits. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 0x01000193);
  return (value >>> 0).toString(16).padStart(8, '0');
}

/** Canaries as they were named, then all others, mixed anew by each rollout: nobody is always the first. */
export function placeOf(
  { rolloutId, canary }: Pick<Rollout, 'rolloutId' | 'canary'>,
  tenantId: string,
): string {
  const named = canary.indexOf(tenantId);
  return named >= 0
    ? `0 ${String(named).padStart(8, '0')} ${tenantId}`
    : `1 ${hash(`${rolloutId} ${tenantId}`)} ${tenantId}`;
}

/** The tenants that the rollout has not come to yet and that its present wave reaches, in order. */
export function aheadInWave(rollout: Rollout, tenantIds: readonly string[]): string[] {
  const order = tenantIds
    .map((tenantId) => ({ tenantId, place: placeOf(rollout, tenantId) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1));
  const others = order.length - rollout.canary.length;
  const share = waves[rollout.wave]!.share;
  const size = rollout.canary.length + Math.ceil(Math.max(0, others) * share);
  return order
    .slice(0, size)
    .filter(({ place }) => place > rollout.reached)
    .map(({ tenantId }) => tenantId);
}
