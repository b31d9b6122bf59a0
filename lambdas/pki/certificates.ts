// @peculiar/x509 throws without the metadata polyfill, so it must come first.
import 'reflect-metadata';
import { randomBytes as nodeRandomBytes } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const ecdsaSha256 = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Certificates start a little in the past, because clocks of tasks and clients differ. */
export const backdateMs = 5 * 60_000;

export interface PkiDeps {
  readonly clock: { now(): Date };
  /** @default node:crypto randomBytes */
  readonly randomBytes?: (size: number) => Uint8Array;
}

export interface Subject {
  readonly commonName?: string;
  readonly organizationalUnit?: string;
}

/** A structured name: values are never parsed, so a user name cannot smuggle in a second attribute. */
export function distinguishedName(subject: Subject): x509.JsonName {
  const name: x509.JsonNameParams = [{ O: [{ utf8String: 'etcd-nanny' }] }];
  if (subject.organizationalUnit) name.push({ OU: [{ utf8String: subject.organizationalUnit }] });
  if (subject.commonName) name.push({ CN: [{ utf8String: subject.commonName }] });
  return name as unknown as x509.JsonName;
}

/** 126 random bits; positive (RFC 5280) and of constant length. */
export function serialNumber(deps: PkiDeps): string {
  const bytes = Uint8Array.from((deps.randomBytes ?? nodeRandomBytes)(16));
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

/** X.509 times have whole seconds. */
export function wholeSeconds(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

export async function generateKeys() {
  return crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
}

export async function exportKey(key: Awaited<ReturnType<typeof generateKeys>>['privateKey']) {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

export async function importKey(pem: string) {
  const der = x509.PemConverter.decodeFirst(pem);
  return crypto.subtle.importKey('pkcs8', der, ecdsa, false, ['sign']);
}

/** PEM with a final newline: bundles are made by joining. */
export function toPem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}

export interface LeafRequest {
  readonly ca: { readonly certificate: string; readonly key: string };
  readonly publicKey: x509.PublicKey;
  readonly subject: Subject;
  readonly usages: readonly ('server' | 'client')[];
  readonly names?: readonly { readonly type: 'ip' | 'dns'; readonly value: string }[];
  readonly ttlSeconds: number;
}

const usageIds = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth };

/** Signs one leaf. It never outlives its CA. */
export async function issueLeaf(deps: PkiDeps, request: LeafRequest): Promise<x509.X509Certificate> {
  const issuer = new x509.X509Certificate(request.ca.certificate);
  const now = deps.clock.now().getTime();
  const notAfter = Math.min(now + request.ttlSeconds * 1000, issuer.notAfter.getTime());
  const isRsa = request.publicKey.algorithm.name.startsWith('RSA');
  return x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(deps),
    subject: distinguishedName(request.subject),
    issuer: issuer.subjectName,
    notBefore: wholeSeconds(new Date(now - backdateMs)),
    notAfter: wholeSeconds(new Date(notAfter)),
    publicKey: request.publicKey,
    signingKey: await importKey(request.ca.key),
    signingAlgorithm: ecdsaSha256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | (isRsa ? x509.KeyUsageFlags.keyEncipherment : 0),
        true,
      ),
      new x509.ExtendedKeyUsageExtension(request.usages.map((usage) => usageIds[usage])),
      await x509.SubjectKeyIdentifierExtension.create(request.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(request.names
        ? [new x509.SubjectAlternativeNameExtension(request.names.map((name) => ({ ...name })))]
        : []),
    ],
  });
}
