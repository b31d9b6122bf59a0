import * as z from 'zod';
import { specDefaults } from '../api/spec-input.ts';
import { clientUserSchema } from '../core/client-user.ts';
import { tenantIdSchema } from '../core/model/names.ts';
import { type CustomResourceEvent, customResourceEventSchema } from '../core/wire/custom-resource.ts';
import { type Ask, isNew, type Wish } from './plan.ts';

/** Which credentials are kept in which secret. */
export const credentialsWishSchema = z.object({
  TenantId: tenantIdSchema,
  SecretArn: z.string().min(1),
  User: clientUserSchema,
  CredentialsDays: z.coerce.number().int().min(1).max(365),
});
export type CredentialsWish = z.infer<typeof credentialsWishSchema>;

const propertiesSchema = credentialsWishSchema.extend({
  Spec: z.record(z.string(), z.unknown()).default({}),
  Adopt: z.stringbool().default(false),
  FinalBackup: z.stringbool().default(true),
  TimeoutMinutes: z.coerce.number().int().min(1).max(55).default(50),
});

/** What the schedule sends. */
export const renewalSchema = z.strictObject({ Renew: credentialsWishSchema });

/** An event of CloudFormation, perhaps with how far an earlier invocation has come. */
export const tenantEventSchema = z.object({
  event: customResourceEventSchema,
  progress: z.object({
    startedAt: z.string(),
    created: z.boolean().optional(),
    operationId: z.string().optional(),
    answer: z.enum(['agreed', 'accepted', 'busy', 'protected']).optional(),
    split: z.boolean().optional(),
  }),
});

export interface Request {
  readonly ask: Ask;
  readonly credentials: CredentialsWish;
}

/** @throws z.ZodError when the resource was not made by the construct */
export function readRequest(event: CustomResourceEvent): Request {
  const properties = propertiesSchema.parse(event.ResourceProperties);
  const { Spec, Adopt, FinalBackup, TimeoutMinutes, ...credentials } = properties;
  const stated = revive(Spec) as Record<string, unknown>;
  const wish: Wish = {
    tenantId: properties.TenantId,
    spec: stated,
    adopt: Adopt,
    finalBackup: FinalBackup,
    timeoutMs: TimeoutMinutes * 60_000,
  };
  if (event.RequestType === 'Create') return { ask: { kind: 'create', wish }, credentials };
  const physicalId = event.PhysicalResourceId;
  if (event.RequestType === 'Delete') return { ask: { kind: 'delete', wish, physicalId }, credentials };
  const ask: Ask = { kind: 'update', wish, physicalId };
  if (isNew(ask)) return { ask, credentials };
  const former = revive(event.OldResourceProperties.Spec ?? {}) as Record<string, unknown>;
  return { ask: { ...ask, wish: { ...wish, spec: withDefaults(stated, former) } }, credentials };
}

/** CloudFormation makes strings of numbers and truth values. No text of a spec can be taken for one of them. */
function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]));
  if (value === 'true' || value === 'false') return value === 'true';
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
}

/**
 * The API leaves alone what a request does not name. What the template once stated and no longer does goes back to its
 * default; what it never stated stays, also when somebody has changed it by other means.
 */
function withDefaults(
  stated: Readonly<Record<string, unknown>>,
  former: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { storageGiB, backup, version: _, ...plain } = { ...specDefaults, version: undefined };
  const defaults: Record<string, unknown> = {
    ...plain,
    storageGiB: storageGiB[stated.volume === 'ephemeral' ? 'ephemeral' : 'ebs'],
    maintenanceWindow: null,
  };
  const dropped = Object.keys(former).filter((name) => !(name in stated) && name in defaults);
  const spec = { ...stated, ...Object.fromEntries(dropped.map((name) => [name, defaults[name]])) };
  const formerBackup = Object.keys((former.backup as object | undefined) ?? {}) as (keyof typeof backup)[];
  if (formerBackup.length === 0) return spec;
  const back = Object.fromEntries(formerBackup.map((name) => [name, backup[name]]));
  return { ...spec, backup: { ...back, ...(stated.backup as object | undefined) } };
}
