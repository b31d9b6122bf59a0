import type { Pki, Rollover } from './model/pki.ts';
import type { TenantRecord } from './model/tenant.ts';
import { statusOf } from './primitives/quorum-view.ts';
import type { Observation } from './step.ts';
import type { RenewOrder } from './wire/admin.ts';

const day = 86_400_000;
/** What `createAuthority` gives, for records of before its dates were written down. */
const authorityLifeMs = 3652 * day;
const longestClientMs = 365 * day;

/** The certificates of a bundle, in its order. */
export function certificatesIn(bundle: string): string[] {
  const found = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return found === null ? [bundle] : found.map((certificate) => `${certificate}\n`);
}

export const bundleOf = (certificates: readonly string[]): string =>
  certificates.map((certificate) => `${certificate.trimEnd()}\n`).join('');

/** Who signs members' certificates: the first of the bundle. */
export const membersAuthority = (pki: Pki): { certificate: string; caKey: string } => ({
  certificate: certificatesIn(pki.caBundle)[0]!,
  caKey: pki.caKey,
});

/** Who signs clients' certificates: the next authority as soon as every member trusts it. */
export const clientsAuthority = (pki: Pki): { certificate: string; caKey: string } =>
  pki.rollover?.phase === 'grace' ? pki.rollover.authority : membersAuthority(pki);

export function authorityLife({ pki, createdAt }: TenantRecord): { from: Date; until: Date } {
  const from = new Date(pki?.validFrom ?? createdAt);
  return { from, until: new Date(pki?.validUntil ?? from.getTime() + authorityLifeMs) };
}

export function isPastTwoThirds(tenant: TenantRecord, now: Date): boolean {
  const { from, until } = authorityLife(tenant);
  return now.getTime() >= from.getTime() + ((until.getTime() - from.getTime()) * 2) / 3;
}

/** When the last client certificate of the present authority has ended. */
export function clientsEnd(tenant: TenantRecord, now: Date): Date {
  if (tenant.pki?.clientsUntil !== undefined) return new Date(tenant.pki.clientsUntil);
  return new Date(Math.min(now.getTime() + longestClientMs, authorityLife(tenant).until.getTime()));
}

/** Nothing of the old authority is waited for any more. */
export const isGraceOver = (rollover: Rollover, now: Date): boolean =>
  rollover.phase === 'grace' && (rollover.immediately || now.getTime() >= Date.parse(rollover.until));

/** What every member's certificates and trust have to be in this phase. */
export function orderOf(rollover: Rollover | undefined): RenewOrder | undefined {
  switch (rollover?.phase) {
    case undefined:
    case 'wanted':
      return undefined;
    case 'trust':
    case 'grace':
      return { issuer: rollover.old, trusted: [rollover.old, rollover.next] };
    case 'leaves':
      return { issuer: rollover.next, trusted: [rollover.old, rollover.next] };
    case 'retire':
      return { issuer: rollover.next, trusted: [rollover.next] };
  }
}

/** How far a member's nanny is from what is ordered. `unknown`: it does not answer, or is of before and cannot tell. */
export function certificatesOf(
  name: string,
  tenant: TenantRecord,
  observation: Observation,
  order: RenewOrder,
): 'as-ordered' | 'to-renew' | 'to-restart' | 'unknown' {
  const seen = statusOf(name, tenant, observation)?.certificates;
  if (seen?.issuer === undefined || seen.trusted === undefined) return 'unknown';
  if (!isSameSet(seen.trusted, order.trusted)) return 'to-restart';
  return seen.issuer === order.issuer ? 'as-ordered' : 'to-renew';
}

export const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((entry) => b.includes(entry));

export type NextPhase = 'grace' | 'leaves' | 'retire' | 'done';

/** Where the rollover goes when every member is as ordered. */
export function nextPhase(tenant: TenantRecord, now: Date): NextPhase | undefined {
  const rollover = tenant.pki?.rollover;
  switch (rollover?.phase) {
    case 'trust':
      return rollover.immediately || clientsEnd(tenant, now) <= now ? 'leaves' : 'grace';
    case 'grace':
      return isGraceOver(rollover, now) ? 'leaves' : undefined;
    case 'leaves':
      return 'retire';
    case 'retire':
      return 'done';
    default:
      return undefined;
  }
}

/** The record's PKI in that phase; undefined when the record has moved on. */
export function advanced(tenant: TenantRecord, to: NextPhase, now: Date): Pki | undefined {
  const { pki } = tenant;
  const rollover = pki?.rollover;
  if (pki === undefined || rollover === undefined || nextPhase(tenant, now) !== to) return undefined;
  const since = now.toISOString();
  switch (rollover.phase) {
    case 'wanted':
      return undefined;
    case 'trust':
    case 'grace': {
      const { reason, immediately, old, next, authority } = rollover;
      const common = { since, reason, immediately, old, next };
      if (to === 'grace') {
        const until = clientsEnd(tenant, now).toISOString();
        return { ...pki, rollover: { phase: 'grace', ...common, authority, until } };
      }
      const { clientsUntil: _ended, ...kept } = pki;
      const { certificate, ...taken } = authority;
      const caBundle = bundleOf([certificate, membersAuthority(pki).certificate]);
      return { ...kept, ...taken, caBundle, rollover: { phase: 'leaves', ...common } };
    }
    case 'leaves': {
      const caBundle = membersAuthority(pki).certificate;
      return { ...pki, caBundle, rollover: { ...rollover, phase: 'retire', since } };
    }
    case 'retire': {
      const { rollover: _done, ...settled } = pki;
      return settled;
    }
  }
}
