import * as crypto from 'node:crypto';
import { type NannyLeafRole, nannyLeafRoles } from '../../lambdas/core/wire/join.ts';

/** DER by hand: a certificate request is fifty lines, an X.509 library is 10 MB of the nanny's memory. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}
const sequence = (...content: Uint8Array[]) => der(0x30, ...content);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));

const commonName = oid('550403');
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const version0 = der(0x02, Buffer.from([0]));
const noAttributes = der(0xa0);

/** PKCS#10 request, PEM. The control plane decides the subject; ours only helps whoever looks at the file. */
export function createRequest(key: crypto.KeyObject, name: string): string {
  const subject = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(name)))));
  const publicKey = crypto.createPublicKey(key).export({ type: 'spki', format: 'der' });
  const info = sequence(version0, subject, publicKey, noAttributes);
  const signature = der(0x03, Buffer.from([0]), crypto.sign('sha256', info, key));
  const lines = sequence(info, ecdsaWithSha256, signature)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
}

/** Fresh keys (PKCS#8 PEM, ECDSA P-256) of all leaves and the requests for them. */
export interface LeafKeys {
  readonly keys: Readonly<Record<NannyLeafRole, string>>;
  readonly csrs: Readonly<Record<NannyLeafRole, string>>;
}

export function createLeafKeys(memberName: string): LeafKeys {
  const made = nannyLeafRoles.map((role) => {
    const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { role, privateKey };
  });
  const byRole = (value: (key: crypto.KeyObject, role: NannyLeafRole) => string) =>
    Object.fromEntries(made.map(({ role, privateKey }) => [role, value(privateKey, role)])) as Record<
      NannyLeafRole,
      string
    >;
  return {
    keys: byRole((key) => key.export({ type: 'pkcs8', format: 'pem' }).toString()),
    csrs: byRole((key, role) => createRequest(key, `${memberName}-${role}`)),
  };
}
