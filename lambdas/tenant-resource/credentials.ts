import * as z from 'zod';
import type { SecretVault } from '../adapters/secrets-manager-vault.ts';
import { ApiRefusal, type TenantApiClient } from '../adapters/tenant-api-client.ts';
import { type Connection, connectionSchema } from '../core/connection/connection.ts';
import { TransientError } from '../core/errors.ts';
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

/** Where the cluster is. */
export type Where = Pick<Stored, 'endpoints' | 'dnsEndpoint' | 'dnsName' | 'clusterId'>;

const whereOf = ({ endpoints, dnsName, clusterId }: Connection): Where => ({
  endpoints: endpoints.join(','),
  dnsEndpoint: `https://${dnsName}:${new URL(endpoints[0]!).port}`,
  dnsName,
  clusterId,
});

/**
 * Brings the secret to what it should hold. @returns where the cluster is, and what was written and why
 * @throws TransientError while the tenant's authority is being replaced
 */
export async function keepCredentials(
  wish: CredentialsWish,
  deps: CredentialsDeps,
): Promise<{ where: Where; written?: string }> {
  const base = `/v1/tenants/${wish.TenantId}`;
  const known = storedSchema.safeParse(parse(await deps.vault.read(wish.SecretArn))).data;
  const connection = await connect(base, deps.api);
  if (connection === undefined) {
    // Asleep: what is known of it is true again when it wakes up.
    if (known?.tenantId === wish.TenantId) return { where: known };
    throw new TransientError(`Tenant "${wish.TenantId}" has no cluster to connect to now. Is it hibernated?`);
  }
  const where = whereOf(connection);
  const why = staleness(known, wish, connection.caBundle, deps.clock.now());
  if (known !== undefined && why === undefined) {
    const moved = Object.entries(where).some(([name, value]) => known[name as keyof Where] !== value);
    if (!moved) return { where };
    await deps.vault.write(wish.SecretArn, JSON.stringify({ ...known, ...where } satisfies Stored));
    return { where, written: 'the endpoints, which have changed' };
  }
  const { key, csr } = await deps.createKey(wish.User);
  const issuedAt = deps.clock.now().toISOString();
  const body = { user: wish.User, ttlSeconds: wish.CredentialsDays * 86_400, csr };
  const { certificate, caBundle, notAfter } = await issue(`${base}/credentials`, body, deps.api);
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
  return { where, written: `new credentials until ${notAfter}, because ${why}` };
}

/** Undefined while there is no cluster. */
async function connect(base: string, api: TenantApiClient): Promise<Connection | undefined> {
  try {
    return connectionSchema.parse((await api.call({ method: 'GET', path: `${base}/connection` })).body);
  } catch (error) {
    if (error instanceof ApiRefusal && error.code === 'still-creating') return undefined;
    throw error;
  }
}

async function issue(path: string, body: unknown, api: TenantApiClient) {
  try {
    return issuedSchema.parse((await api.call({ method: 'POST', path, body })).body);
  } catch (error) {
    // Within minutes there is another authority, or one at all.
    const soon =
      error instanceof ApiRefusal && ['operation-under-way', 'still-creating'].includes(error.code);
    throw soon ? new TransientError(error.message, { cause: error }) : error;
  }
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    // Whatever the secret held before the first credentials.
    return undefined;
  }
}
