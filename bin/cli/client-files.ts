import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Connection,
  type CredentialFiles,
  credentialFilesIn,
} from '../../lambdas/core/connection/connection.ts';
import { createPki } from '../../lambdas/pki/x509-pki.ts';
import type { Api } from './api.ts';
import { CliError } from './errors.ts';
import type { World } from './world.ts';

export interface IssuedClient {
  readonly user: string;
  /** PEM. */
  readonly certificate: string;
  readonly caBundle: string;
  /** PKCS#8 PEM; absent when the caller brought a CSR. */
  readonly privateKey?: string;
  readonly notAfter: string;
}

/** Asks for a certificate. Without a CSR the key is made here: it never travels. */
export async function issueClient(
  world: World,
  api: Api,
  tenantId: string,
  options: { user: string; ttlSeconds: number; csr?: string },
): Promise<IssuedClient> {
  const made =
    options.csr === undefined ? await createPki({ clock: world }).createClientKey(options.user) : undefined;
  const { privateKey: _never, ...issued } = await api.call<IssuedClient>({
    method: 'POST',
    path: `/v1/tenants/${encodeURIComponent(tenantId)}/credentials`,
    body: { user: options.user, ttlSeconds: options.ttlSeconds, csr: options.csr ?? made?.csr },
  });
  return { ...issued, ...(made ? { privateKey: made.key } : {}) };
}

/** Writes ca.pem, client.pem and, when there is one, client-key.pem: the folder 0700, the files 0600. */
export async function writeClient(folder: string, client: IssuedClient): Promise<CredentialFiles> {
  const files = credentialFilesIn(folder);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writePrivate(files.ca, client.caBundle);
    // The certificate last: a folder with a certificate in it is complete.
    if (client.privateKey) await writePrivate(files.key, client.privateKey);
    await writePrivate(files.certificate, client.certificate);
  } catch (cause) {
    throw new CliError(`The credentials cannot be written to ${folder}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return files;
}

async function writePrivate(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  await writeFile(draft, text, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, file);
}

/** A cached certificate must still live this long. */
const spareMs = 10 * 60_000;

/**
 * Credentials that the CLI keeps for itself, made anew when they are about to expire or belong to another cluster of
 * the same name.
 */
export async function cachedClient(
  world: World,
  api: Api,
  connection: Connection,
  options: { user: string; ttlSeconds: number },
): Promise<CredentialFiles> {
  const folder = join(
    api.target.cacheDir,
    connection.tenantId,
    options.user.replaceAll(/[^A-Za-z0-9._-]/g, '_'),
  );
  const files = credentialFilesIn(folder);
  if (await isFresh(world, files, connection, options.user)) return files;
  return writeClient(folder, await issueClient(world, api, connection.tenantId, options));
}

async function isFresh(
  world: World,
  files: CredentialFiles,
  connection: Connection,
  user: string,
): Promise<boolean> {
  try {
    const [ca, certificate] = await Promise.all([
      readFile(files.ca, 'utf8'),
      readFile(files.certificate, 'utf8'),
      readFile(files.key, 'utf8'),
    ]);
    const parsed = new X509Certificate(certificate);
    return (
      ca === connection.caBundle &&
      parsed.subject.split('\n').includes(`CN=${user}`) &&
      parsed.validToDate.getTime() - world.now().getTime() > spareMs
    );
  } catch {
    return false;
  }
}
