import * as z from 'zod';

const reserved = ['etcd-peer', 'control-plane'];

/** Users that would look like one of our own leaves: their certificates are never given to a tenant. */
export function isReservedUser(user: string): boolean {
  const name = user.toLowerCase();
  return reserved.includes(name) || name.startsWith('etcd-nanny');
}

/**
 * CN of a tenant's client certificate, which is also its user once etcd auth is enabled. At most 64 characters (the
 * upper bound of a common name in X.520). `root` is allowed: it is etcd's own name for the tenant's administrator.
 */
export const clientUserSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$/,
    'must be 1 to 64 characters: letters, digits and . _ : @ - (the first one a letter or digit)',
  )
  .refine((user) => !isReservedUser(user), {
    message: 'is reserved for etcd-nanny itself: choose another user name',
  });

/** Life of a tenant's client certificate: 1 hour to 1 year (design §10). */
export const clientTtl = { minSeconds: 3600, maxSeconds: 365 * 86_400, defaultSeconds: 86_400 } as const;
