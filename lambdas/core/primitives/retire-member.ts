import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { chooseSuccessor } from './choose.ts';
import { waitSoon } from './decide.ts';
import { quorumView, tellOf } from './quorum-view.ts';

/**
 * Takes one member out of the cluster; clearLeaving then stops its task and forgets it.
 *
 * @param options.surge the member is well and others are there to take over: its name goes first, so that clients
 *   leave it, then leadership, then the member; only in a full, unambiguous view. Else it is dead or sick: straight
 *   out of etcd, whatever else is missing (S1 decides whether that may be).
 * @returns undefined once it is on its way out or gone
 */
export function retireMember(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  name: string,
  reason: string,
  options: { readonly surge: boolean },
): Decision | undefined {
  const member = tenant.members[name];
  if (member === undefined || member.state === 'leaving') return undefined;
  const remove = step({ kind: 'remove-member', member: name, reason });
  if (!options.surge || member.state !== 'voting') return remove;

  const view = quorumView(tenant, observation, now);
  if (view.vanished.includes(member)) return remove;
  if (view.ambiguous) return waitSoon('wait-for-clear-view', view.ambiguous);
  const others = [...view.sick, ...view.unsure, ...view.coming].filter((voter) => voter.name !== name);
  if (others.length > 0) {
    return waitSoon('wait-for-voters', `${name} stays while others are not well: ${tellOf(view, others)}`, 5);
  }
  if (observation.names.includes(name)) return step({ kind: 'deregister-names', members: [name] });
  if (view.leader?.name === name) {
    const to = chooseSuccessor(tenant, observation, view, name);
    if (to === undefined)
      return waitSoon('wait-for-successor', `nobody can take over leadership from ${name}`);
    return step({ kind: 'move-leadership', from: name, to: to.name });
  }
  if (view.leader === undefined) return waitSoon('wait-for-leader', 'the leader is not known');
  return remove;
}
