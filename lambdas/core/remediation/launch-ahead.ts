import { leaving, membersIn, withMembers } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import type { QuorumView } from '../primitives/index.ts';
import { isDead, quorumLoss, type Sickness, sicknessOf } from '../sickness.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { newcomerZone } from './zones.ts';

/**
 * A voter whose task has stopped never comes back, and the next one's task takes longest of all: it is started at once,
 * beside the election and the removal that etcd may need first. That is no membership change (S2): the newcomer is added
 * when the dead one is out. Only while the others are a majority: else this is a recovery's.
 *
 * @returns undefined also when a launch has failed: whoever leaves does not wait for the next try
 */
export function launchAhead(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
  zones: readonly string[],
): Decision | undefined {
  const voters = membersIn(tenant, 'voting');
  if (voters.length !== tenant.spec.members || tenant.backoff !== undefined) return undefined;
  if (tenant.remediation?.quorumLostSince !== undefined || tenant.remediation?.recovery !== undefined)
    return undefined;
  const lost = view.sick.find((voter) => isStopped(sicknessOf(tenant, voter, observation, now), now));
  if (lost === undefined || quorumLoss(tenant, observation, now) !== undefined) return undefined;
  const [newcomer, ...others] = membersIn(tenant, 'requested', 'launching', 'joined', 'learner');
  if (newcomer === undefined) {
    // Where it would go if the other one were out.
    const without = withMembers(tenant, [leaving(lost, 'its task has stopped', now.toISOString())]);
    const { zone, zoneOut } = newcomerZone(without, now, zones);
    const place = { zones: [zone], insteadOf: lost.name, ...(zoneOut && { zoneOut }) };
    return step({ kind: 'request-members', ...place });
  }
  return newcomer.state === 'requested' && others.length === 0
    ? step({ kind: 'launch-members', members: [newcomer.name] })
    : undefined;
}

const isStopped = (sickness: Sickness, now: Date): boolean =>
  sickness.verdict === 'sick' && sickness.certain && isDead(sickness, now);
