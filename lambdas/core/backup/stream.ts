import type { TenantRecord } from '../model/tenant.ts';
import { type QuorumView, statusOf, type Voter } from '../primitives/quorum-view.ts';
import { type Decision, type Observation, step } from '../step.ts';
import type { NannyStatus } from '../wire/admin.ts';
import { holderOf, lastOf, withBackups } from './duty.ts';

/** What was just ordered may not show in the nanny's status yet. */
const settleMs = 10_000;
/** A holder whose shipping does not get on is changed for another one. */
const stuckMs = 60_000;
/** Nobody gets on: it is the store, and another member every minute would only fill the timeline. */
const longestPatienceMs = 30 * 60_000;

type Shipping = NonNullable<NannyStatus['backup']>;

const shippingOf = (tenant: TenantRecord, observation: Observation, name: string): Shipping | undefined =>
  statusOf(name, tenant, observation)?.backup;

/** What the holder tells of the chain that it was given. */
function told(tenant: TenantRecord, observation: Observation): Shipping | undefined {
  const holder = holderOf(tenant);
  const shipping = holder && shippingOf(tenant, observation, holder.member);
  return shipping?.chain === holder?.chain ? shipping : undefined;
}

/** The stream cannot go on, and no full backup was taken behind its end: what it says. */
export function brokenStream(tenant: TenantRecord, observation: Observation): string | undefined {
  const shipping = told(tenant, observation);
  if (shipping?.broken === undefined) return undefined;
  const last = lastOf(tenant);
  const mended =
    last !== undefined && last.backupId !== shipping.chain && last.revision >= shipping.shippedRevision;
  return mended ? undefined : shipping.broken;
}

/**
 * Exactly one healthy member's nanny ships the changes behind the full backup, a follower if there is one. It stays as long
 * as it can; a lost one is replaced at once, because two at a time do no harm and none does.
 */
export function decideStream(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const last = lastOf(tenant);
  if (last === undefined || view.ambiguous !== undefined || tenant.status.phase === 'deleting')
    return undefined;
  const holder = holderOf(tenant);
  const afterFull = { chain: last.backupId, afterRevision: last.revision };
  if (holder === undefined) {
    const first = candidateOf(tenant, observation, view, last.revision);
    return first && ship(first.name, afterFull, 'the changes behind the first full backup');
  }
  const shipping = told(tenant, observation);
  const afterRevision = Math.max(holder.shippedRevision, shipping?.shippedRevision ?? 0);
  if (shipping?.broken !== undefined) {
    if (brokenStream(tenant, observation) !== undefined) return undefined;
    const next = candidateOf(tenant, observation, view, last.revision);
    return (
      next &&
      ship(next.name, afterFull, `the stream broke (${shipping.broken}); it goes on behind a new full backup`)
    );
  }
  const onward = { chain: holder.chain, afterRevision };
  const isHolder = ({ name }: Voter): boolean => name === holder.member;
  const healthy = view.healthy.some(isHolder);
  const problem = healthy ? whyChange(tenant, holder, shipping, now) : `${holder.member} is not there`;
  if (problem !== undefined) {
    const other = candidateOf(tenant, observation, view, afterRevision, holder.member);
    if (other !== undefined) return ship(other.name, onward, problem);
  }
  const justTold = now.getTime() - Date.parse(holder.since) < settleMs;
  if (healthy && shipping === undefined && !justTold) {
    return ship(holder.member, onward, 'its nanny has forgotten the order');
  }
  const stray =
    shipping && view.healthy.find((voter) => !isHolder(voter) && shippingOf(tenant, observation, voter.name));
  return stray && step({ kind: 'stop-shipping', member: stray.name });
}

function whyChange(
  tenant: TenantRecord,
  holder: NonNullable<ReturnType<typeof holderOf>>,
  shipping: Shipping | undefined,
  now: Date,
): string | undefined {
  if (holder.member in (tenant.replaceRequests ?? {})) return `${holder.member} is going to leave`;
  if (shipping?.problem === undefined) return undefined;
  const since = Math.max(Date.parse(shipping.upToDateAt), Date.parse(holder.since));
  const patienceMs = Math.min(longestPatienceMs, stuckMs * 2 ** (holder.inVain ?? 0));
  return now.getTime() - since > patienceMs
    ? `${holder.member} does not get on (${shipping.problem})`
    : undefined;
}

function candidateOf(
  tenant: TenantRecord,
  observation: Observation,
  view: QuorumView,
  revision: number,
  except?: string,
): Voter | undefined {
  const leaves = (voter: Voter): boolean => voter.name in (tenant.replaceRequests ?? {});
  return view.healthy
    .filter((voter) => voter.name !== except)
    .filter((voter) => (statusOf(voter.name, tenant, observation)?.self?.revision ?? 0) >= revision)
    .map((voter) => ({
      voter,
      key: [leaves(voter) ? 1 : 0, voter === view.leader ? 1 : 0, voter.name].join(),
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))[0]?.voter;
}

const ship = (member: string, order: { chain: string; afterRevision: number }, why: string): Decision =>
  step({ kind: 'ship-changes', member, ...order, why });

/** How far the stream has come, for the record: what a successor begins with when the holder is lost. */
export function withStream(tenant: TenantRecord, observation: Observation): TenantRecord {
  const [known, shipping] = [holderOf(tenant), told(tenant, observation)];
  if (known === undefined || shipping === undefined) return tenant;
  const { shippedRevision, upToDateAt, problem } = shipping;
  if (shippedRevision < known.shippedRevision) return tenant;
  const { problem: _before, inVain, ...holder } = known;
  const stuck = inVain !== undefined && shippedRevision === known.shippedRevision ? { inVain } : {};
  const askedAt = statusOf(holder.member, tenant, observation)!.at;
  return withBackups(tenant, {
    holder: {
      ...holder,
      shippedRevision,
      upToDateAt,
      askedAt,
      ...stuck,
      ...(problem !== undefined && { problem }),
    },
  });
}

/** Segments come each 5 s: a stream that is older hangs. */
export const streamLateMs = 30_000;

/** What is on its way to S3 does not get there: when that begins to count, if it goes on. */
export function streamLateAt(tenant: TenantRecord): Date | undefined {
  const holder = holderOf(tenant);
  return holder?.problem === undefined
    ? undefined
    : new Date(Date.parse(holder.upToDateAt) + streamLateMs + 1_000);
}

/** What all members at once would have taken with them when the holder was asked last; told in tens of seconds. */
export function rpoOf(tenant: TenantRecord, now: Date): { seconds: number; at: string } | undefined {
  const holder = holderOf(tenant);
  if (holder === undefined) return undefined;
  const at = holder.askedAt ?? now.toISOString();
  const behindMs = Date.parse(at) - Date.parse(holder.upToDateAt);
  return { seconds: Math.max(10, Math.ceil(behindMs / 10_000) * 10), at };
}
