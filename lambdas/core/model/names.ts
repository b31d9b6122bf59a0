import * as z from 'zod';

/** Tenant names: DNS label that starts with a letter, 2 to 39 characters (Cloud Map label, ECS tag, S3 prefix). */
export const tenantIdSchema = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{1,38}$/,
    'must be 2 to 39 characters: a lower-case letter, then lower-case letters, digits or hyphens',
  );

/** Member names are random and never reused: `m` and 8 characters of [a-z0-9]. */
export const memberNameSchema = z.string().regex(/^m[a-z0-9]{8}$/);

/** etcd member and cluster ids are uint64: lower-case hex strings, never numbers. */
export const etcdIdSchema = z.string().regex(/^[0-9a-f]{1,16}$/);

export const isoTimeSchema = z.iso.datetime();

/** Exact etcd version, `major.minor.patch`. */
export const etcdVersionSchema = z
  .string()
  .regex(/^\d+\.\d+\.\d+$/, 'must be an exact version such as 3.6.16');
