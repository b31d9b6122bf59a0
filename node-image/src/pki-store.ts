import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type IssuedCertificates, type NannyLeafRole, nannyLeafRoles } from '../../lambdas/core/wire/join.ts';
import type { ClientTls } from './etcd/grpc.ts';
import { makePrivateDirectory, syncDirectory, writeDurably } from './files.ts';

/** The certificates and keys in force, as read from the disk. */
export interface Identity {
  readonly ca: string;
  readonly leaves: Readonly<Record<NannyLeafRole, { readonly cert: string; readonly key: string }>>;
  /** The earliest of all leaves. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SHA-256 (DER, hex) of the CA that signed the leaves; undefined when it is none of the bundle. */
  readonly issuer: string | undefined;
}

/** SHA-256 (DER, hex) of every certificate of a bundle. */
export const fingerprintsIn = (bundle: string): string[] => authoritiesIn(bundle).map(fingerprintOf);

const authoritiesIn = (bundle: string): X509Certificate[] =>
  (bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (certificate) => new X509Certificate(certificate),
  );

const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase();

function issuerOf(leaf: X509Certificate, bundle: string): string | undefined {
  const authority = authoritiesIn(bundle).find((each) => leaf.verify(each.publicKey));
  return authority && fingerprintOf(authority);
}

export function tlsOf(identity: Identity, role: NannyLeafRole): ClientTls {
  return { ca: identity.ca, ...identity.leaves[role] };
}

/**
 * `<root>/pki` is a symbolic link to a directory that is never changed once written: all files of a renewal come into
 * force in one rename. etcd opens its files anew for each handshake and so follows.
 */
export class PkiStore {
  readonly directory: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.directory = join(root, 'pki');
  }

  /** undefined when there is none yet. */
  async load(): Promise<Identity | undefined> {
    if (!existsSync(this.directory)) return undefined;
    const read = (name: string) => readFile(join(this.directory, name), 'utf8');
    const leaves = await Promise.all(
      nannyLeafRoles.map(async (role) => ({
        role,
        cert: await read(`${role}.pem`),
        key: await read(`${role}-key.pem`),
      })),
    );
    const validity = leaves.map(({ cert }) => new X509Certificate(cert));
    const earliest = (dates: Date[]) => new Date(Math.min(...dates.map((date) => date.getTime())));
    const ca = await read('ca.pem');
    return {
      ca,
      leaves: Object.fromEntries(
        leaves.map(({ role, cert, key }) => [role, { cert, key }]),
      ) as Identity['leaves'],
      notBefore: earliest(validity.map((leaf) => leaf.validFromDate)),
      notAfter: earliest(validity.map((leaf) => leaf.validToDate)),
      issuer: issuerOf(validity[0]!, ca),
    };
  }

  async install(
    certificates: IssuedCertificates,
    keys: Readonly<Record<NannyLeafRole, string>>,
    generation: string,
  ): Promise<Identity> {
    const target = `pki-${generation}`;
    const directory = join(this.#root, target);
    await makePrivateDirectory(directory);
    await writeDurably(join(directory, 'ca.pem'), certificates.caBundle, 0o644);
    for (const role of nannyLeafRoles) {
      await writeDurably(join(directory, `${role}.pem`), certificates[role], 0o644);
      await writeDurably(join(directory, `${role}-key.pem`), keys[role], 0o600);
    }
    await syncDirectory(directory);
    const before = await this.#current();
    const link = join(this.#root, 'pki.next');
    await rm(link, { force: true });
    await symlink(target, link);
    await rename(link, this.directory);
    await syncDirectory(this.#root);
    await this.#removeAllBut([target, before]);
    const identity = await this.load();
    if (identity === undefined) throw new Error(`${this.directory} vanished while it was being written`);
    return identity;
  }

  async #current(): Promise<string | undefined> {
    const found = await lstat(this.directory).catch(() => undefined);
    return found?.isSymbolicLink() ? await readlink(this.directory) : undefined;
  }

  /** The one before stays: a handshake may have opened its certificate there and still has to open the key. */
  async #removeAllBut(keep: readonly (string | undefined)[]): Promise<void> {
    for (const name of await readdir(this.#root)) {
      if (name.startsWith('pki-') && !keep.includes(name)) {
        await rm(join(this.#root, name), { recursive: true, force: true });
      }
    }
  }
}
