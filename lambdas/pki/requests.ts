import 'reflect-metadata';
import { createPublicKey } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { InvalidRequestError } from '../core/errors.ts';

/** Bytes of a PEM request. An RSA-8192 request is about 2.5 KiB. */
const maxLength = 8192;
const label =
  /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----\r?\n[A-Za-z0-9+/=\s]+-----END (?:NEW )?CERTIFICATE REQUEST-----$/;

/**
 * Reads a PKCS#10 request and checks that its sender holds the key. Only the public key is used afterwards: subject
 * and extensions of the request are ignored.
 *
 * @param field where the request stood in the caller's document, e.g. `csr` or `csrs.peer`
 * @throws InvalidRequestError naming the field
 */
export async function readRequest(pem: string, field: string): Promise<x509.PublicKey> {
  const refuse = (message: string) =>
    new InvalidRequestError(`The certificate request in "${field}" cannot be used: ${message}.`, [
      { field, message },
    ]);
  if (pem.length > maxLength) throw refuse(`it is longer than ${maxLength} characters`);
  if (!label.test(pem.trim())) throw refuse('it is not one PEM block "CERTIFICATE REQUEST" (PKCS#10)');
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(pem.trim());
  } catch {
    throw refuse('its content is not a PKCS#10 request');
  }
  const weakness = keyWeakness(request.publicKey);
  if (weakness) throw refuse(weakness);
  if (!(await hasValidSignature(request))) {
    throw refuse('its signature does not match its key (was it changed after it was made?)');
  }
  return request.publicKey;
}

async function hasValidSignature(request: x509.Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify();
  } catch {
    return false;
  }
}

/** What makes a key unfit, or undefined. EC P-256 and P-384, RSA from 2048 to 8192 bits are fine. */
function keyWeakness(publicKey: x509.PublicKey): string | undefined {
  const wanted = 'use EC P-256, EC P-384 or RSA of 2048 to 8192 bits';
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey.rawData), format: 'der', type: 'spki' });
    const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
    if (key.asymmetricKeyType === 'ec') {
      if (namedCurve === 'prime256v1' || namedCurve === 'secp384r1') return undefined;
      return `its key is on the curve ${namedCurve}: ${wanted}`;
    }
    if (key.asymmetricKeyType === 'rsa') {
      if (modulusLength && modulusLength >= 2048 && modulusLength <= 8192) return undefined;
      return `its RSA key has ${modulusLength} bits: ${wanted}`;
    }
    return `its key is of type ${key.asymmetricKeyType}: ${wanted}`;
  } catch {
    return `its public key cannot be read: ${wanted}`;
  }
}
