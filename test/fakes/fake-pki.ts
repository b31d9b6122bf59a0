import { certificatesIn } from '../../lambdas/core/authority.ts';
import { InvalidRequestError, TransientError } from '../../lambdas/core/errors.ts';
import type { NannyTarget, Pki } from '../../lambdas/core/ports.ts';
import type { NannyStatus, RenewOrder } from '../../lambdas/core/wire/admin.ts';
import { type IssuedCertificates, issuedCertificatesSchema } from '../../lambdas/core/wire/join.ts';

const notAfter = '2026-01-31T00:00:00.000Z';
const pem = (text: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString('base64')}\n-----END CERTIFICATE-----\n`;
const textOf = (certificate: string): string =>
  Buffer.from(certificate.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64').toString();
const by = (authority: string): string => ` by ${textOf(authority)}`;
const issuerOf = (leaf: string): string => leaf.slice(leaf.indexOf(' by ') + 4);

/** Certificates that only say who made them: `leaf by CA 1 of acme`. A CA's fingerprint is its name. */
export function createFakePki(clock: { now(): Date }, lifeMs = 3652 * 86_400_000): Pki {
  let made = 0;
  return {
    createAuthority: async (tenantId) => {
      const now = clock.now().getTime();
      made += 1;
      return {
        certificate: pem(`CA ${made} of ${tenantId}`),
        key: `key of CA ${made}`,
        validFrom: new Date(now).toISOString(),
        validUntil: new Date(now + lifeMs).toISOString(),
      };
    },
    fingerprint: textOf,
    createControlPlaneLeaf: async (ca) => ({ certificate: `control-plane${by(ca.certificate)}`, key: 'key' }),
    checkMemberRequests: async (csrs) => checkRequests(csrs),
    signMemberLeaves: async (ca, _identity, csrs, caBundle) => {
      checkRequests(csrs);
      const leaf = `leaf${by(ca.certificate)}`;
      return { caBundle, peer: leaf, server: leaf, admin: leaf, client: leaf, notAfter };
    },
    signClient: async (ca) => ({ certificate: `client${by(ca.certificate)}`, notAfter, serialNumber: '01' }),
    createClientKey: async () => ({ key: 'k', csr: 'c' }),
  };
}

function checkRequests(csrs: Readonly<Record<string, string>>): void {
  const bad = Object.entries(csrs).find(([, csr]) => csr.startsWith('bad'));
  if (bad === undefined) return;
  throw new InvalidRequestError('The request is bad.', [{ field: `csrs.${bad[0]}`, message: 'is bad' }]);
}

/** What a nanny and its etcd have of certificates. */
export class FakeCertificates {
  issuer: string;
  bundle: string[];
  /** Read by etcd at its start only. */
  trusted: string[];

  constructor(issued: IssuedCertificates) {
    this.issuer = issuerOf(issued.peer);
    this.bundle = certificatesIn(issued.caBundle).map(textOf);
    this.trusted = this.bundle;
  }

  get status(): NonNullable<NannyStatus['certificates']> {
    return { notAfter, issuer: this.issuer, trusted: this.trusted };
  }

  /** @throws TransientError as a TLS handshake would fail */
  meet({ tenant: { pki } }: NannyTarget): void {
    if (pki === undefined) return;
    const known = certificatesIn(pki.caBundle).map(textOf);
    const refused =
      !this.bundle.includes(issuerOf(pki.controlPlaneCertificate)) || !known.includes(this.issuer);
    if (refused) throw new TransientError('the certificate is of an authority that nobody here knows');
  }

  /** As the nanny does it. @returns whether etcd has to be restarted @throws TransientError when join gave others */
  renewed(answer: unknown, order: RenewOrder): boolean {
    const issued = issuedCertificatesSchema.parse(answer);
    this.issuer = issuerOf(issued.peer);
    this.bundle = certificatesIn(issued.caBundle).map(textOf);
    const same = (a: readonly string[]) => [...a].sort().join() === [...order.trusted].sort().join();
    if (this.issuer !== order.issuer || !same(this.bundle)) throw new TransientError('not as ordered');
    return !same(this.trusted);
  }

  accepts(peer: FakeCertificates): boolean {
    return this.trusted.includes(peer.issuer);
  }
}
