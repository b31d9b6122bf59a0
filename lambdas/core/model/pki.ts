import * as z from 'zod';
import { isoTimeSchema } from './names.ts';

/** Ciphertext of KMS, base64. */
const ciphertextSchema = z.string();

const validity = { validFrom: isoTimeSchema, validUntil: isoTimeSchema };

/** What the next certificate authority brings; it takes the place of the present one at `leaves`. */
const nextAuthoritySchema = z.strictObject({
  /** PEM. */
  certificate: z.string(),
  caKey: ciphertextSchema,
  controlPlaneCertificate: z.string(),
  controlPlaneKey: ciphertextSchema,
  ...validity,
  clientsUntil: isoTimeSchema.optional(),
});

const common = {
  /** Since when the phase is this. */
  since: isoTimeSchema,
  reason: z.string(),
  /** The old authority is taken out at once: whatever clients still have of it stops working. */
  immediately: z.boolean(),
};
/** SHA-256 of the certificates (DER), hex. */
const between = { old: z.string(), next: z.string() };

/**
 * From one authority to the next. Trust comes before use, and use ends before trust does:
 *
 * - `wanted`: somebody asked, or the authority is past two thirds of its life.
 * - `trust`: the bundle holds both; every etcd is restarted to read it (none reads its CA file again by itself).
 * - `grace`: clients get certificates of the next one, with both in their bundle. Members stay with the old one: a client
 *   that has not come for a new certificate yet knows no other.
 * - `leaves`: nobody has a valid client certificate of the old one any more. Members' and the control plane's own
 *   certificates are of the next one.
 * - `retire`: the bundle holds the next one alone; every etcd is restarted to forget the old one.
 */
export const rolloverSchema = z.discriminatedUnion('phase', [
  z.strictObject({ phase: z.literal('wanted'), ...common }),
  z.strictObject({ phase: z.literal('trust'), ...common, ...between, authority: nextAuthoritySchema }),
  z.strictObject({
    phase: z.literal('grace'),
    ...common,
    ...between,
    authority: nextAuthoritySchema,
    until: isoTimeSchema,
  }),
  z.strictObject({ phase: z.literal('leaves'), ...common, ...between }),
  z.strictObject({ phase: z.literal('retire'), ...common, ...between }),
]);

export type Rollover = z.infer<typeof rolloverSchema>;

export const pkiSchema = z.strictObject({
  /** PEM. More than one certificate while a rollover is under way: the one that signs members' certificates first. */
  caBundle: z.string(),
  /** PKCS#8 PEM, encrypted under the context `{tenant, purpose: 'ca'}`. */
  caKey: ciphertextSchema,
  /** The certificate with which functions call the nanny's admin API. */
  controlPlaneCertificate: z.string(),
  /** PKCS#8 PEM, encrypted under the context `{tenant, purpose: 'control-plane'}`. */
  controlPlaneKey: ciphertextSchema,
  /** Of the CA. Absent in records of before it was written down: ten years from the tenant's creation. */
  validFrom: isoTimeSchema.optional(),
  validUntil: isoTimeSchema.optional(),
  /**
   * No client certificate of this CA is valid later than this, to the full hour. Absent: none of them was counted, so the
   * longest there can be (a year) has to be assumed.
   */
  clientsUntil: isoTimeSchema.optional(),
  rollover: rolloverSchema.optional(),
});

export type Pki = z.infer<typeof pkiSchema>;
