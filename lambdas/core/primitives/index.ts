/**
 * Sub-plans that every plan of a formed cluster is made of. All are pure: `(tenant, observation, now, …) → Decision |
 * undefined`, where undefined means "nothing of this to do (any more)". They are level-triggered: nothing is kept
 * between two calls but the record, so calling them again after a crash goes on where the world stands.
 *
 * How they compose. A plan asks them in order and returns the first decision:
 *
 *     const view = quorumView(tenant, observation, now);     // who is healthy, sick, unsure; leader; ambiguous?
 *     // 1. what must not go on: ambiguous view, sick voters (remediation's), paused, maintenance window
 *     // 2. one change at a time, the one in flight first:
 *     return firstOf(admitNewcomers(...), clearLeaving(...)) // parts that do not depend on each other: steps before waits
 *       ?? retireMember(...)                                 // one voter too many: drain, hand over, remove
 *       ?? request(...)                                      // one too few, or a surge newcomer
 *       ?? done
 *
 * - replaceDead: remove → request → (admit ‖ clear). Remediation's way.
 * - surgeReplace: request in the same zone → admit → drain, hand over, remove → clear. For a member that is well.
 * - converge: brings members, size, storage, image and version to the spec by those two: scale, resize, replace, patch.
 * - rotateCa: another certificate authority, every etcd restarted in place twice: to trust both, to forget the old one.
 * - stepDown: a minor down through etcd's downgrade, the binaries swapped in place: nobody can join meanwhile.
 *
 * The observation must hold nannies of all members, listed tasks while somebody is leaving, and the names registered
 * (`names` given to createObserver): a voter that is not among `names` is registered. What etcd refuses for a while
 * ("unhealthy cluster" for 5 s after a boot or change, a learner not in sync) is a wait, told by the performer
 * (Outcome.notYet), never a failure. `remove-member` is the one step out for members of every state, whether etcd knows
 * them or not; the performer finds out, and clearLeaving takes them from there.
 */
export { admitNewcomers, nameThose, nameVoters, whyBehind } from './admit-newcomers.ts';
export { chooseLeaver, chooseReplaced, chooseSuccessor, type Leavers, zoneForNewcomer } from './choose.ts';
export { clearLeaving, recordPromoted } from './clear-leaving.ts';
export { converge, isConverged, preflight } from './converge.ts';
export { firstOf, waitForRecord, waitLong, waitSoon } from './decide.ts';
export { fence, replaceIncarnation } from './fence.ts';
export { gather } from './gather.ts';
export { isOutdated, madeFor, outdatedFields, type TaskDefinitions } from './outdated.ts';
export {
  entryOf,
  isServing,
  ownerOf,
  type QuorumView,
  quorumView,
  statusOf,
  tellOf,
  type Voter,
} from './quorum-view.ts';
export { replaceDead, request, surgeReplace } from './replace.ts';
export { retireMember } from './retire-member.ts';
export { rotateCa } from './rotate-ca.ts';
export { stepDown } from './step-down.ts';
