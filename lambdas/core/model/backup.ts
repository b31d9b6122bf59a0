import * as z from 'zod';
import { etcdVersionSchema, isoTimeSchema, memberNameSchema, tenantIdSchema } from './names.ts';

/** Why a full backup was taken. */
export const backupReasons = [
  'scheduled',
  'on-demand',
  'before-step',
  'before-delete',
  'hibernate',
  /** The change stream broke (compaction, a gap): the chain begins again. */
  'new-chain',
  /** Another one was found damaged or missing. */
  'replacement',
  /** Of etcd's users, roles and rights, which no change stream tells. */
  'users-changed',
  /** Taken by nobody: what a restored, recovered or woken incarnation began from, until it has one of its own. */
  'beginning',
] as const;
export type BackupReason = (typeof backupReasons)[number];

/** What a restore in a scratch etcd found, compared with the live cluster at the same revision. */
export const proofSchema = z.strictObject({
  at: isoTimeSchema,
  /** The restored state: this backup and the deltas behind it up to here. */
  revision: z.int(),
  keys: z.int(),
  /** HashKV at that revision, equal to the live one's. */
  hash: z.int(),
  seconds: z.number(),
});

/** Whose state something is: a restored one goes on from what may be long ago, or another tenant's. */
export const madeOfSchema = z.strictObject({ tenantId: tenantIdSchema, incarnation: z.int().min(1) });

/**
 * One full backup: manifest of an object in S3. Written only once the object is published and etcd's own hash in it has
 * been checked. Deltas have no item: their names in S3 say all (`deltaName`).
 */
export const backupSchema = z.strictObject({
  /** ULID; the object's name too. */
  backupId: z.string(),
  tenantId: tenantIdSchema,
  incarnation: z.int().min(1),
  /** `<cell>/<tenant>/<incarnation>/full/<backupId>.snap`. */
  key: z.string(),
  /** Of the whole object, hex. */
  sha256: z.string(),
  bytes: z.int(),
  /** Highest revision in it, read from the file itself; of a beginning as its incarnation counts, bump included. */
  revision: z.int(),
  /** Of a beginning: its object counts as the incarnation before did, and is restored with this. */
  bumpRevision: z.int().min(1).optional(),
  /** Of a beginning: the state that it is, in the numbers of the incarnation that it was. */
  madeOf: madeOfSchema.extend({ revision: z.int() }).optional(),
  etcdVersion: etcdVersionSchema,
  member: memberNameSchema,
  reason: z.enum(backupReasons),
  startedAt: isoTimeSchema,
  /** Nothing in it is younger: when its first bytes came, after etcd had opened its read transaction. */
  contentAt: isoTimeSchema,
  endedAt: isoTimeSchema,
  proof: proofSchema.optional(),
  /** Found missing or altered. It is never restored from, and kept for a person to look at. */
  damaged: z.strictObject({ at: isoTimeSchema, problem: z.string() }).optional(),
  /** Segments behind it that were found missing or altered: restores go round them, or end before the first. */
  damagedSegments: z
    .array(z.strictObject({ key: z.string(), at: isoTimeSchema, problem: z.string() }))
    .optional(),
});

export type Backup = z.infer<typeof backupSchema>;

/** Everything of a tenant in the bucket: its nannies reach this and nothing else. */
export const tenantPrefix = (cell: string, tenantId: string): string => `${cell}/${tenantId}/`;

/** Where everything that an incarnation backs up goes. */
export const backupPrefix = (cell: string, tenantId: string, incarnation: number): string =>
  `${tenantPrefix(cell, tenantId)}${incarnation}/`;
export const fullPrefix = (cell: string, tenantId: string, incarnation: number): string =>
  `${backupPrefix(cell, tenantId, incarnation)}full/`;
export const deltaPrefix = (cell: string, tenantId: string, incarnation: number): string =>
  `${backupPrefix(cell, tenantId, incarnation)}delta/`;

/** `backupPrefix` of the incarnation that an object belongs to; undefined for a key that is none of ours. */
export const prefixOfKey = (key: string): string | undefined => /^[^/]+\/[^/]+\/\d+\//.exec(key)?.[0];

export const incarnationOfKey = (key: string): number | undefined => {
  const number = /^[^/]+\/[^/]+\/(\d+)\//.exec(key)?.[1];
  return number === undefined ? undefined : Number(number);
};

/** A segment of the change stream: every revision from `first` to `last`, both included. */
export interface DeltaRef {
  readonly key: string;
  readonly first: number;
  readonly last: number;
  /** ULID; its time is when the segment was closed, by the clock of the nanny that shipped it. */
  readonly id: string;
  readonly bytes: number;
}

/** So that whoever looks for the segment that holds a revision knows how far before it that may begin. */
export const mostRevisionsOfDelta = 10_000;

const digits = 16;
const padded = (revision: number): string => String(revision).padStart(digits, '0');

/** Names sort by first revision. */
export const deltaName = (first: number, last: number, id: string): string =>
  `${padded(first)}-${padded(last)}-${id}.delta.zst`;

/** Sorts before every segment that can hold this revision, as `start-after` of a listing wants it. */
export const beforeDeltaOf = (prefix: string, revision: number): string =>
  `${prefix}${padded(Math.max(0, revision - mostRevisionsOfDelta))}`;

/** undefined for what is no segment. */
export function readDeltaName(key: string, bytes: number): DeltaRef | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const parts = /^(\d{16})-(\d{16})-([0-9A-HJKMNP-TV-Z]{26})\.delta\.zst$/.exec(name);
  return parts ? { key, first: Number(parts[1]), last: Number(parts[2]), id: parts[3]!, bytes } : undefined;
}
