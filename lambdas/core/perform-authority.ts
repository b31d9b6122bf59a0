import { advanced, bundleOf, membersAuthority } from './authority.ts';
import { withoutBackoff } from './backoff.ts';
import { withMembers } from './members.ts';
import type { TenantRecord } from './model/tenant.ts';
import { askNannies } from './observe.ts';
import type { Performers } from './perform.ts';
import { attempt, fenceOf, notYet } from './perform-members.ts';
import type { Cell, Clock, KeyVault, NannyClient, Pki } from './ports.ts';
import { checkStep } from './safety.ts';
import { restartsEtcd } from './safety-authority.ts';

export interface AuthorityDeps {
  readonly cell: Cell;
  readonly clock: Clock;
  readonly nannies: Pick<NannyClient, 'status' | 'renew'>;
  readonly vault: Pick<KeyVault, 'encrypt'>;
  readonly pki: Pick<Pki, 'createAuthority' | 'createControlPlaneLeaf' | 'fingerprint'>;
}

/** The steps from one certificate authority to the next. Keys are sealed at once, and never opened here. */
export function authorityPerformers(deps: AuthorityDeps): Performers {
  return {
    async 'make-authority'(_step, { tenant: { tenantId }, now }) {
      const made = await deps.pki.createAuthority(tenantId);
      const leaf = await deps.pki.createControlPlaneLeaf(made, tenantId);
      const [caKey, controlPlaneKey] = await Promise.all([
        deps.vault.encrypt(tenantId, 'ca', made.key),
        deps.vault.encrypt(tenantId, 'control-plane', leaf.key),
      ]);
      const { certificate, validFrom, validUntil } = made;
      return {
        event: 'decided',
        message: `A new certificate authority is made, valid until ${validUntil}. Every member has to trust it before it is used.`,
        // A second one beside it would not be known to those who have the first: the first one saved stays.
        mutate: (tenant) => {
          const rollover = tenant.pki?.rollover;
          if (tenant.pki === undefined || rollover?.phase !== 'wanted') return undefined;
          const present = membersAuthority(tenant.pki).certificate;
          const { reason, immediately } = rollover;
          return withoutBackoff({
            ...tenant,
            pki: {
              ...tenant.pki,
              caBundle: bundleOf([present, certificate]),
              rollover: {
                phase: 'trust',
                since: now.toISOString(),
                reason,
                immediately,
                old: deps.pki.fingerprint(present),
                next: deps.pki.fingerprint(certificate),
                authority: {
                  certificate,
                  caKey,
                  controlPlaneCertificate: leaf.certificate,
                  controlPlaneKey,
                  validFrom,
                  validUntil,
                  // None has been issued.
                  clientsUntil: now.toISOString(),
                },
              },
            },
          });
        },
      };
    },

    async 'renew-certificates'(step, { tenant, observation: before }) {
      const member = tenant.members[step.member];
      if (member?.state !== 'voting') return notYet(`${step.member} does not vote`);
      // Health is read again immediately before acting (S2), as before every change.
      const observation = { ...before, nannies: await askNannies(deps.nannies, tenant) };
      const now = deps.clock.now();
      const zones = deps.cell.subnets.map((subnet) => subnet.zone);
      const verdict = checkStep({ step, tenant, observation, now, zones });
      if (!verdict.allowed) return notYet(`${verdict.rule}: ${verdict.reason}`);
      const restarts = restartsEtcd(step, tenant, observation);
      return attempt(async () => {
        await deps.nannies.renew({ tenant, ip: member.ip }, fenceOf(tenant), step.order);
        const what = restarts ? ' and its etcd has read whom to trust anew' : '';
        return {
          message: `${member.name} has new certificates${what}.`,
          mutate: (stored) => (restarts ? withRestart(stored, member.name, deps.clock.now()) : undefined),
        };
      });
    },

    async 'advance-authority'({ to }, { now }) {
      const messages = {
        grace: 'Clients get certificates of the new authority; those of the old one work to their end.',
        leaves: 'Members and the control plane change to certificates of the new authority.',
        retire: 'Nothing of the old authority is used any more: no member is to trust it from now on.',
        done: 'No member trusts the old authority any more.',
      };
      return {
        event: 'decided',
        message: messages[to],
        mutate: (tenant) => {
          const pki = advanced(tenant, to, now);
          return pki && withoutBackoff({ ...tenant, pki });
        },
      };
    },
  };
}

/** It is away for a moment, not sick. */
function withRestart(stored: TenantRecord, name: string, now: Date): TenantRecord | undefined {
  const member = stored.members[name];
  if (member?.state !== 'voting' || member.made === undefined) return undefined;
  return withMembers(stored, [{ ...member, made: { ...member.made, swappedAt: now.toISOString() } }]);
}
