import { randomBytes } from 'node:crypto';
import type { Pki } from '../../lambdas/core/model/pki.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';

/** What KMS adds to a plaintext, bytes. */
const ciphertextOverhead = 160;

/** Fakes have short certificates, and DynamoDB counts bytes: the record as it is with real ones. */
export async function realCertificates(): Promise<(record: TenantRecord) => TenantRecord> {
  const pki = createPki({ clock: { now: () => new Date() } });
  const ca = await pki.createAuthority('acme');
  const leaf = await pki.createControlPlaneLeaf(ca, 'acme');
  const sealed = (key: string): string => randomBytes(key.length + ciphertextOverhead).toString('base64');
  const real: Pick<Pki, 'caBundle' | 'caKey' | 'controlPlaneCertificate' | 'controlPlaneKey'> = {
    caBundle: ca.certificate,
    caKey: sealed(ca.key),
    controlPlaneCertificate: leaf.certificate,
    controlPlaneKey: sealed(leaf.key),
  };
  return (record) => (record.pki === undefined ? record : { ...record, pki: { ...record.pki, ...real } });
}
