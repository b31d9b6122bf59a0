import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate request (PEM) with a new key of this kind. */
export async function request(
  kind: webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams,
): Promise<string> {
  const keys = await crypto.subtle.generateKey(kind, true, ['sign', 'verify']);
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=anybody',
    keys,
    signingAlgorithm: { ...kind, hash: 'SHA-256' } as never,
  });
  return made.toString('pem');
}

/** One byte of its signature is another. */
export function tampered(pem: string): string {
  const bytes = Buffer.from(x509.PemConverter.decodeFirst(pem));
  bytes[bytes.length - 5]! ^= 0xff;
  return x509.PemConverter.encode(bytes, 'CERTIFICATE REQUEST');
}
