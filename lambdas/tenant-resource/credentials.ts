import * as z from 'zod';
import type { SecretVault } from '../adapters/secrets-manager-vault.ts';
import type { TenantApiClient } from '../adapters/tenant-api-client.ts';
import { type Connection, connectionSchema } from '../core/connection/connection.ts';
import type { Clock } from '../core/ports.ts';
import type { CredentialsWish } from './request.ts';

/** What the secret holds, so that a client needs nothing else. Field names are those of the API. */
export const storedSchema = z.object({
  tenantId: z.string(),
  user: z.string(),
  certificate: z.string(),
  privateKey: z.string(),
  caBundle: z.string(),
  issuedAt: z.iso.datetime(),
  notAfter: z.iso.datetime(),
  lifeDays: z.int(),
  /** Of the voting members at that time, with commas: what etcd clients take as a list. */
  endpoints: z.string(),
  /** One URL that stays, whichever members there are. */
  dnsEndpoint: z.string(),
  dnsName: z.string(),
  clusterId: z.string(),
});
export type Stored = z.infer<typeof storedSchema>;

const issuedSchema = z.object({ certificate: z.string(), caBundle: z.string(), notAfter: z.iso.datetime() });

export interface CredentialsDeps {
  readonly api: TenantApiClient;
  readonly vault: SecretVault;
  readonly clock: Clock;
  /** A key that never leaves this function but into the secret, and the request for its certificate. */
  readonly createKey: (user: string) => Promise<{ key: string; csr: string }>;
}

/** Why a new certificate is needed; undefined when the stored one serves. */
export function staleness(
  stored: Stored | undefined,
  wish: CredentialsWish,
  caBundle: string,
  now: Date,
): string | undefined {
  if (stored === undefined) return 'there are none yet';
  if (stored.tenantId !== wish.TenantId) return `those there are for tenant "${stored.tenantId}"`;
  if (stored.user !== wish.User) return `those there are for user "${stored.user}"`;
  if (stored.lifeDays !== wish.CredentialsDays) return 'they are to live for another time';
  if (stored.caBundle !== caBundle) return 'the certificate authorities have changed';
  const [from, to] = [Date.parse(stored.issuedAt), Date.parse(stored.notAfter)];
  return now.getTime() >= from + ((to - from) * 2) / 3 ? 'two thirds of their life are over' : undefined;
}

export const dnsEndpointOf = ({ endpoints, dnsName }: Connection): string =>
  `https://${dnsName}:${new URL(endpoints[0] ?? 'https://none:2379').port}`;

/** Brings the secret to what it should hold. @returns the connection, and what was written and why */
export async function keepCredentials(
  wish: CredentialsWish,
  deps: CredentialsDeps,
): Promise<{ connection: Connection; written?: string }> {
  const base = `/v1/tenants/${wish.TenantId}`;
  const connection = connectionSchema.parse(
    (await deps.api.call({ method: 'GET', path: `${base}/connection` })).body,
  );
  const known = storedSchema.safeParse(parse(await deps.vault.read(wish.SecretArn))).data;
  const where = {
    endpoints: connection.endpoints.join(','),
    dnsEndpoint: dnsEndpointOf(connection),
    dnsName: connection.dnsName,
    clusterId: connection.clusterId,
  };
  const why = staleness(known, wish, connection.caBundle, deps.clock.now());
  if (known !== undefined && why === undefined) {
    const moved = Object.entries(where).some(([name, value]) => known[name as keyof typeof where] !== value);
    if (!moved) return { connection };
    await deps.vault.write(wish.SecretArn, JSON.stringify({ ...known, ...where } satisfies Stored));
    return { connection, written: 'the endpoints, which have changed' };
  }
  const { key, csr } = await deps.createKey(wish.User);
  const issuedAt = deps.clock.now().toISOString();
  const body = { user: wish.User, ttlSeconds: wish.CredentialsDays * 86_400, csr };
  const answer = await deps.api.call({ method: 'POST', path: `${base}/credentials`, body });
  const { certificate, caBundle, notAfter } = issuedSchema.parse(answer.body);
  const stored: Stored = {
    tenantId: wish.TenantId,
    user: wish.User,
    certificate,
    privateKey: key,
    caBundle,
    issuedAt,
    notAfter,
    lifeDays: wish.CredentialsDays,
    ...where,
  };
  await deps.vault.write(wish.SecretArn, JSON.stringify(stored));
  return { connection, written: `new credentials until ${notAfter}, because ${why}` };
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    // Whatever the secret held before the first credentials.
    return undefined;
  }
}
