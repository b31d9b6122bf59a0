import { certificatesOf, nextPhase, orderOf } from './authority.ts';
import { wantedMembers } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Rule } from './safety.ts';
import type { Observation, Step } from './step.ts';

/** Whether this step restarts the etcd of its member: then it is away for a moment, as with a swap of its binary. */
export function restartsEtcd(step: Step, tenant: TenantRecord, observation: Observation): boolean {
  if (step.kind === 'swap-binary') return true;
  if (step.kind !== 'renew-certificates') return false;
  // An answer that is not clear counts as the worse one.
  return !['as-ordered', 'to-renew'].includes(certificatesOf(step.member, tenant, observation, step.order));
}

/**
 * S10: trust comes before use, and use ends before trust does. No authority signs before every member trusts it, none is
 * taken out while a member's certificate is of it, and clients keep theirs to its end unless a person said otherwise.
 */
export const trustBeforeUse: Rule = ({ step, tenant, observation, now }) => {
  const rollover = tenant.pki?.rollover;
  const order = orderOf(rollover);
  switch (step.kind) {
    case 'make-authority':
      return rollover?.phase === 'wanted' ? undefined : 'no new authority is wanted';
    case 'renew-certificates':
      return JSON.stringify(step.order) === JSON.stringify(order)
        ? undefined
        : `${step.member} would be given certificates of another phase than ${rollover?.phase ?? 'none'}`;
    case 'advance-authority': {
      if (order === undefined || nextPhase(tenant, now) !== step.to) {
        return `the rollover is at ${rollover?.phase ?? 'its end'}: it does not go to ${step.to} now`;
      }
      const open = wantedMembers(tenant).filter(
        ({ name }) => certificatesOf(name, tenant, observation, order) !== 'as-ordered',
      );
      return open.length > 0
        ? `${open.map(({ name }) => name).join(', ')} has or trusts other certificates than every member must before ${step.to}`
        : undefined;
    }
    default:
      return undefined;
  }
};
