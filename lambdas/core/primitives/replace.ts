import { backoffWait } from '../backoff.ts';
import { membersIn } from '../members.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type Decision, type Observation, type RequestMembers, step } from '../step.ts';
import { admitNewcomers, nameVoters } from './admit-newcomers.ts';
import { clearLeaving, clearVanished } from './clear-leaving.ts';
import { firstOf } from './decide.ts';
import { quorumView } from './quorum-view.ts';
import { retireMember } from './retire-member.ts';

type Newcomer = Omit<RequestMembers, 'kind' | 'zones'> & { readonly zone: string };

/**
 * A dead or sick voter: out of etcd first (nothing can be added before, S2), then another in its stead. Its task is
 * stopped while the newcomer comes up.
 *
 * @param newcomer where the other one goes; undefined: nobody is asked for now (a zone that is out, say)
 * @returns undefined when everything is done: as many members as the spec says vote and have their names
 */
export function replaceDead(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  dead: { readonly name: string; readonly reason: string } | undefined,
  newcomer: Newcomer | undefined,
): Decision | undefined {
  const view = quorumView(tenant, observation, now);
  const retire =
    clearVanished(view) ??
    (dead && retireMember(tenant, observation, now, dead.name, dead.reason, { surge: false }));
  if (retire) return retire;
  const coming = firstOf(
    nameVoters(tenant, observation, view),
    request(tenant, now, tenant.spec.members, newcomer),
    admitNewcomers(tenant, observation, now),
  );
  return inOrder(tenant, coming, clearLeaving(tenant, observation, now, view));
}

/**
 * The newcomer first, because it takes longest; but once that has failed, whoever leaves does not wait for it: else its
 * name and its task would stay for as long as nothing can be launched.
 */
export const inOrder = (
  tenant: TenantRecord,
  coming: Decision | undefined,
  going: Decision | undefined,
): Decision | undefined => (tenant.backoff === undefined ? firstOf(coming, going) : firstOf(going, coming));

/**
 * A voter that is well: another one votes before it leaves, in the same zone, so redundancy never drops.
 *
 * @returns undefined when it is gone and the newcomer has its name
 */
export function surgeReplace(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  old: { readonly name: string; readonly reason: string },
  newcomer: Newcomer,
): Decision | undefined {
  const view = quorumView(tenant, observation, now);
  const vanished = clearVanished(view);
  if (vanished) return vanished;
  const stays = tenant.members[old.name]?.state === 'voting';
  const asked = stays ? request(tenant, now, tenant.spec.members + 1, newcomer) : undefined;
  const full = membersIn(tenant, 'voting').length > tenant.spec.members;
  const draining = stays && full ? old.name : undefined;
  const moving =
    admitNewcomers(tenant, observation, now, { draining }) ??
    (draining === undefined
      ? undefined
      : retireMember(tenant, observation, now, draining, old.reason, { surge: true }));
  return inOrder(tenant, firstOf(asked, moving), clearLeaving(tenant, observation, now, view));
}

/** One newcomer at a time, until `upTo` members are there or on their way. */
export function request(
  tenant: TenantRecord,
  now: Date,
  upTo: number,
  newcomer: Newcomer | undefined,
): Decision | undefined {
  if (newcomer === undefined) return undefined;
  const onTheirWay = membersIn(tenant, 'requested', 'launching', 'joined', 'learner').length;
  if (onTheirWay > 0 || membersIn(tenant, 'voting').length >= upTo) return undefined;
  const { zone, ...more } = newcomer;
  return backoffWait(tenant, now) ?? step({ kind: 'request-members', zones: [zone], ...more });
}
