// @peculiar/x509 throws without the metadata polyfill, so it must come first.
import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { isIPv4 } from 'node:net';
import * as x509 from '@peculiar/x509';
import { clientTtl, clientUserSchema, isReservedUser } from '../core/client-user.ts';
import { InvalidRequestError } from '../core/errors.ts';
import type { MemberIdentity, Pki } from '../core/ports.ts';
import { type NannyLeafRole, nannyLeafRoles } from '../core/wire/join.ts';
import {
  backdateMs,
  distinguishedName,
  ecdsaSha256,
  exportKey,
  generateKeys,
  issueLeaf,
  type LeafRequest,
  type PkiDeps,
  serialNumber,
  toPem,
  wholeSeconds,
} from './certificates.ts';
import { readRequest } from './requests.ts';

const day = 86_400;
/** Lives in seconds (design §10). */
export const authoritySeconds = 3652 * day;
export const memberLeafSeconds = 30 * day;
/** Nothing renews it but the rotation of its CA: shorter, and every nanny would refuse the control plane one day. */
export const controlPlaneSeconds = authoritySeconds;

type LeafShape = Pick<LeafRequest, 'subject' | 'usages'>;

/** The table "Certificates" in docs/internals.md. The server leaf has no CN: etcd's JSON gateway refuses one under auth. */
const memberLeaves: Readonly<Record<NannyLeafRole, LeafShape>> = {
  peer: {
    subject: { commonName: 'etcd-peer', organizationalUnit: 'peer' },
    usages: ['server', 'client'],
  },
  server: { subject: { organizationalUnit: 'server' }, usages: ['server', 'client'] },
  admin: {
    subject: { commonName: 'etcd-nanny-admin', organizationalUnit: 'nanny-admin' },
    usages: ['server', 'client'],
  },
  client: { subject: { commonName: 'root', organizationalUnit: 'nanny-client' }, usages: ['client'] },
};

/** X.509 for all tenants; holds no state and no keys. */
export function createPki(deps: PkiDeps): Pki {
  return {
    async createAuthority(tenantId) {
      const keys = await generateKeys();
      const now = deps.clock.now().getTime();
      const certificate = await x509.X509CertificateGenerator.createSelfSigned({
        serialNumber: serialNumber(deps),
        name: distinguishedName({ commonName: `${tenantId} etcd CA` }),
        notBefore: wholeSeconds(new Date(now - backdateMs)),
        notAfter: wholeSeconds(new Date(now + authoritySeconds * 1000)),
        keys,
        signingAlgorithm: ecdsaSha256,
        extensions: [
          new x509.BasicConstraintsExtension(true, 0, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
          await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        ],
      });
      return {
        certificate: toPem(certificate),
        key: await exportKey(keys.privateKey),
        validFrom: certificate.notBefore.toISOString(),
        validUntil: certificate.notAfter.toISOString(),
      };
    },

    fingerprint(certificate) {
      return new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase();
    },

    async createControlPlaneLeaf(ca) {
      const keys = await generateKeys();
      const certificate = await issueLeaf(deps, {
        ca,
        publicKey: await x509.PublicKey.create(keys.publicKey),
        subject: { commonName: 'control-plane', organizationalUnit: 'control-plane' },
        usages: ['client'],
        ttlSeconds: controlPlaneSeconds,
      });
      return { certificate: toPem(certificate), key: await exportKey(keys.privateKey) };
    },

    async checkMemberRequests(csrs) {
      await Promise.all(nannyLeafRoles.map((role) => readRequest(csrs[role], `csrs.${role}`)));
    },

    async signMemberLeaves(ca, identity, csrs, caBundle) {
      const names = memberNames(identity);
      const sign = async (role: NannyLeafRole) => {
        const { subject, usages } = memberLeaves[role];
        return issueLeaf(deps, {
          ca,
          publicKey: await readRequest(csrs[role], `csrs.${role}`),
          subject,
          usages,
          ...(role === 'client' ? {} : { names }),
          ttlSeconds: memberLeafSeconds,
        });
      };
      const [peer, server, admin, client] = await Promise.all([
        sign('peer'),
        sign('server'),
        sign('admin'),
        sign('client'),
      ]);
      return {
        caBundle,
        peer: toPem(peer),
        server: toPem(server),
        admin: toPem(admin),
        client: toPem(client),
        notAfter: peer.notAfter.toISOString(),
      };
    },

    async signClient(ca, user, csr, ttlSeconds) {
      checkClient(user, ttlSeconds);
      const certificate = await issueLeaf(deps, {
        ca,
        publicKey: await readRequest(csr, 'csr'),
        subject: { commonName: user, organizationalUnit: 'tenant-client' },
        usages: ['client'],
        ttlSeconds,
      });
      return {
        certificate: toPem(certificate),
        notAfter: certificate.notAfter.toISOString(),
        serialNumber: certificate.serialNumber.toLowerCase(),
      };
    },

    async createClientKey(user) {
      const keys = await generateKeys();
      const csr = await x509.Pkcs10CertificateRequestGenerator.create({
        name: distinguishedName({ commonName: user }),
        keys,
        signingAlgorithm: ecdsaSha256,
      });
      return { key: await exportKey(keys.privateKey), csr: `${csr.toString('pem').trimEnd()}\n` };
    },
  };
}

/** 127.0.0.1 and localhost are there because etcd checks a peer's source address against the SANs. */
function memberNames(identity: MemberIdentity): NonNullable<LeafRequest['names']> {
  if (!isIPv4(identity.ip)) throw new InvalidRequestError(`"${identity.ip}" is not an IPv4 address.`);
  return [
    ...[...new Set([identity.ip, '127.0.0.1'])].map((value) => ({ type: 'ip' as const, value })),
    { type: 'dns', value: 'localhost' },
    { type: 'dns', value: identity.dnsName },
  ];
}

function checkClient(user: string, ttlSeconds: number): void {
  const problems = [];
  const parsed = clientUserSchema.safeParse(user);
  if (!parsed.success) problems.push({ field: 'user', message: parsed.error.issues[0]!.message });
  const { minSeconds, maxSeconds } = clientTtl;
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < minSeconds || ttlSeconds > maxSeconds) {
    problems.push({
      field: 'ttlSeconds',
      message: `must be whole seconds from ${minSeconds} (1 hour) to ${maxSeconds} (1 year)`,
    });
  }
  if (problems.length === 0) return;
  const what = isReservedUser(user)
    ? `The user "${user}" is reserved for etcd-nanny itself.`
    : 'No certificate was issued.';
  throw new InvalidRequestError(what, problems);
}
