import { expect, test } from 'vitest';
import type { Rollover } from '../../lambdas/core/model/pki.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { checkStep } from '../../lambdas/core/safety.ts';
import type { Observation, Step } from '../../lambdas/core/step.ts';
import { formed, nameOf, now, type Voter, zones } from '../fakes/sim/formed.ts';

const three: Voter[] = [{ zone: 'a' }, { zone: 'b' }, { zone: 'c' }];
const tomorrow = new Date(now.getTime() + 86_400_000).toISOString();
const common = { since: now.toISOString(), reason: 'r', immediately: false, old: 'one', next: 'two' };
const authority = {
  certificate: 'c',
  caKey: 'k',
  controlPlaneCertificate: 'x',
  controlPlaneKey: 'x',
  validFrom: now.toISOString(),
  validUntil: tomorrow,
};
const phases = {
  trust: { phase: 'trust', ...common, authority },
  grace: { phase: 'grace', ...common, authority, until: tomorrow },
  over: { phase: 'grace', ...common, authority, until: now.toISOString() },
  hurried: { phase: 'grace', ...common, immediately: true, authority, until: tomorrow },
  leaves: { phase: 'leaves', ...common },
  retire: { phase: 'retire', ...common },
} satisfies Record<string, Rollover>;
const both = ['one', 'two'];
type Certificates = { issuer: string; trusted: string[] };
const all = (certificates: Certificates): Certificates[] => [certificates, certificates, certificates];

/** The first voter leads. @param clientsUntil of the old authority */
function world(
  phase: keyof typeof phases,
  certificates: (Certificates | undefined)[],
  { voters = three, clientsUntil = tomorrow }: { voters?: Voter[]; clientsUntil?: string } = {},
) {
  const { tenant, observation } = formed(voters);
  const pki: TenantRecord['pki'] = {
    caBundle: 'c',
    caKey: 'k',
    controlPlaneCertificate: 'x',
    controlPlaneKey: 'x',
    clientsUntil,
    rollover: phases[phase],
  };
  const nannies = Object.fromEntries(
    Object.entries(observation.nannies).map(([name, nanny], index) => {
      const has = certificates[index];
      if (!nanny.reachable || has === undefined) return [name, nanny];
      return [name, { ...nanny, status: { ...nanny.status, certificates: { notAfter: tomorrow, ...has } } }];
    }),
  ) as Observation['nannies'];
  return { tenant: { ...tenant, pki }, observation: { ...observation, nannies }, now, zones };
}

const to = (next: 'grace' | 'leaves' | 'retire' | 'done'): Step => ({ kind: 'advance-authority', to: next });
const renew = (index: number, issuer: string, trusted: string[]): Step => ({
  kind: 'renew-certificates',
  member: nameOf(index),
  order: { issuer, trusted },
});
const oldOnly = { issuer: 'one', trusted: ['one'] };
const oldBoth = { issuer: 'one', trusted: both };
const newBoth = { issuer: 'two', trusted: both };
const newOnly = { issuer: 'two', trusted: ['two'] };
const past = now.toISOString();

test.each<[string, ReturnType<typeof world>, Step, string | undefined]>([
  ['clients get the new one when all trust it', world('trust', all(oldBoth)), to('grace'), undefined],
  ['not while one does not', world('trust', [oldBoth, oldOnly, oldBoth]), to('grace'), 'S10'],
  ['not while one cannot be asked', world('trust', [oldBoth, oldBoth, undefined]), to('grace'), 'S10'],
  ['not past clients that have the old one', world('trust', all(oldBoth)), to('leaves'), 'S10'],
  [
    'members at once where no client has one',
    world('trust', all(oldBoth), { clientsUntil: past }),
    to('leaves'),
    undefined,
  ],
  ['members not before the grace is over', world('grace', all(oldBoth)), to('leaves'), 'S10'],
  ['members when the grace is over', world('over', all(oldBoth)), to('leaves'), undefined],
  ['members when a person does not wait for it', world('hurried', all(oldBoth)), to('leaves'), undefined],
  [
    'the old one is not taken out while a member has a leaf of it',
    world('leaves', [newBoth, newBoth, oldBoth]),
    to('retire'),
    'S10',
  ],
  ['the old one is taken out when none has', world('leaves', all(newBoth)), to('retire'), undefined],
  [
    'it is not over while one trusts the old one',
    world('retire', [newOnly, newBoth, newOnly]),
    to('done'),
    'S10',
  ],
  ['it is over when none does', world('retire', all(newOnly)), to('done'), undefined],
  ['no phase is left out', world('trust', all(oldBoth)), to('retire'), 'S10'],
  ['certificates are those of the phase', world('trust', all(oldOnly)), renew(1, 'two', both), 'S10'],
  ['a restart when the others are a quorum', world('trust', all(oldOnly)), renew(1, 'one', both), undefined],
  [
    'no restart while another one is away',
    world('trust', all(oldOnly), { voters: [three[0]!, three[1]!, { zone: 'c', is: 'dead' }] }),
    renew(1, 'one', both),
    'S1',
  ],
  [
    'no restart on a doubt',
    world('trust', all(oldOnly), { voters: [...three, { zone: 'a' }, { zone: 'b', is: 'unsure' }] }),
    renew(1, 'one', both),
    'S2',
  ],
  [
    'new leaves alone cost nothing',
    world('leaves', all(oldBoth), { voters: [three[0]!, three[1]!, { zone: 'c', is: 'dead' }] }),
    renew(1, 'two', both),
    undefined,
  ],
  [
    'a new authority only when one is wanted',
    world('grace', all(oldBoth)),
    { kind: 'make-authority', reason: 'r' },
    'S10',
  ],
])('trust before use: %s', (_name, context, step, rule) => {
  const verdict = checkStep({ ...context, step });
  expect(verdict.allowed ? undefined : verdict.rule).toBe(rule);
});
