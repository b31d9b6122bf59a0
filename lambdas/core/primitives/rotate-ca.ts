import { certificatesOf, isGraceOver, nextPhase, orderOf } from '../authority.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { chooseSuccessor, type Leavers } from './choose.ts';
import { converge, preflight } from './converge.ts';
import { waitSoon } from './decide.ts';
import { beginOperation, endOperation, waitForWindow } from './operation.ts';
import { quorumView, tellOf } from './quorum-view.ts';

/**
 * One authority to the next (phases: model/pki.ts), one member after the other, the leader last after handing over. In
 * the grace of clients there is nothing to do: the operation ends, and the sweep begins another when it is over.
 */
export function rotateCa(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  context: Leavers,
): Decision {
  const rollover = tenant.pki?.rollover;
  if (rollover === undefined) {
    return endOperation(tenant, 'Done: the certificate authority is a new one, and no other is trusted.');
  }
  if (rollover.phase === 'grace' && !isGraceOver(rollover, now)) {
    return endOperation(
      tenant,
      `Every member trusts the new certificate authority and clients' certificates are of it from now on. The old one is taken out after ${rollover.until}, when the last certificate of it has ended.`,
    );
  }
  const view = quorumView(tenant, observation, now);
  const hold =
    preflight(tenant, view) ??
    (rollover.immediately ? undefined : waitForWindow(tenant, now, false)) ??
    beginOperation(tenant) ??
    converge(tenant, observation, now, { ...context, keepOutdated: true });
  if (hold) return hold;
  if (view.coming.length > 0) {
    return waitSoon('wait-for-ready', `not ready yet: ${tellOf(view, view.coming)}`);
  }
  if (rollover.phase === 'wanted') return step({ kind: 'make-authority', reason: rollover.reason });
  const order = orderOf(rollover)!;
  const states = view.voters.map((voter) => ({
    voter,
    state: certificatesOf(voter.name, tenant, observation, order),
  }));
  const mute = states.find(({ state }) => state === 'unknown')?.voter;
  if (mute) {
    const reason = `${mute.name} does not tell whom it trusts: its node image is older than the rotation of certificate authorities. Patch the tenant (nanny patch ${tenant.tenantId}) or replace the member, then it goes on`;
    return { kind: 'blocked', reason, recheckSeconds: 300 };
  }
  const open = states.filter(({ state }) => state !== 'as-ordered');
  // Those that need no restart first: a member that forgets the old authority refuses peers that still use it.
  const chosen =
    open.find(({ state }) => state === 'to-renew') ??
    open.find(({ voter }) => voter !== view.leader) ??
    open[0];
  if (chosen === undefined) return step({ kind: 'advance-authority', to: nextPhase(tenant, now)! });
  const { voter, state } = chosen;
  if (state === 'to-restart' && voter === view.leader && view.voters.length > 1) {
    const to = chooseSuccessor(tenant, observation, view, voter.name);
    return to
      ? step({ kind: 'move-leadership', from: voter.name, to: to.name })
      : waitSoon('wait-for-successor', `nobody can take over leadership from ${voter.name}`);
  }
  return step({ kind: 'renew-certificates', member: voter.name, order });
}
