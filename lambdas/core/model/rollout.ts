import * as z from 'zod';
import { etcdVersionSchema, isoTimeSchema, tenantIdSchema } from './names.ts';

/** Share of the tenants that a wave reaches at most, those of the waves before it included. The first are the canaries. */
export const waves = [
  { name: 'canary', share: 0 },
  { name: '1 %', share: 0.01 },
  { name: '10 %', share: 0.1 },
  { name: '100 %', share: 1 },
] as const;

/** A tenant that is being patched, or waits until it may be. */
const takenUp = { tenantId: tenantIdSchema, since: isoTimeSchema };

/**
 * One patch release brought to the whole fleet, wave by wave. Tenants come in an order that only depends on the
 * rollout and their names, so that the record need not list them: `reached` says how far it has come.
 */
export const rolloutSchema = z.strictObject({
  rolloutId: z.string(),
  recordVersion: z.int().min(1),
  version: etcdVersionSchema,
  state: z.enum(['running', 'stopped', 'done']),
  requestedBy: z.string(),
  createdAt: isoTimeSchema,
  updatedAt: isoTimeSchema,
  canary: z.array(tenantIdSchema).max(50),
  /** A wave is watched this long before the next begins. */
  bakeMinutes: z.int().min(0).max(10_080),
  /** Index into `waves`. */
  wave: z
    .int()
    .min(0)
    .max(waves.length - 1),
  /** Place in the order (`placeOf`) of the last tenant that was taken up or passed over. */
  reached: z.string(),
  /** At most `parallel` at once. */
  patching: z.array(z.strictObject(takenUp)),
  /** Taken up later: their window, a pause, something else under way. */
  held: z.array(z.strictObject({ ...takenUp, reason: z.string() })),
  /** Since the wave began. */
  patchedInWave: z.int().min(0),
  patched: z.int().min(0),
  /** Other minor, this version or a newer one already, being created or deleted. */
  passedOver: z.int().min(0),
  /** All of the wave are patched or held; the next one may begin `bakeMinutes` later. */
  bakingSince: isoTimeSchema.optional(),
  stopped: z.strictObject({ at: isoTimeSchema, by: z.string(), reason: z.string() }).optional(),
  /** What happened, oldest first, for people. */
  events: z.array(z.strictObject({ at: isoTimeSchema, message: z.string() })).max(100),
});

export type Rollout = z.infer<typeof rolloutSchema>;

/** What somebody asked for. */
type Asked = Pick<
  Rollout,
  'rolloutId' | 'version' | 'requestedBy' | 'createdAt' | 'canary' | 'bakeMinutes' | 'events'
>;

/** Nobody has been taken up yet. It is saved as the successor of `recordVersion` 0. */
export const firstRollout = (asked: Asked): Rollout => ({
  ...asked,
  recordVersion: 0,
  state: 'running',
  updatedAt: asked.createdAt,
  wave: 0,
  reached: '',
  patching: [],
  held: [],
  patchedInWave: 0,
  patched: 0,
  passedOver: 0,
});
