import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { systemMachine } from '../../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../../node-image/binaries/resolve.ts';
import { type TestCloud, world } from './cloud.ts';

/** What POST credentials answers. */
export interface Credentials {
  readonly user: string;
  readonly certificate: string;
  readonly caBundle: string;
  readonly privateKey: string;
  readonly notAfter: string;
}

/** What a client needs to be let in, PEM. */
export type KeyPair = Pick<Credentials, 'caBundle' | 'certificate' | 'privateKey'>;

export const issueCredentials = (cloud: TestCloud, tenantId: string, user = 'root'): Promise<Credentials> =>
  cloud.api.call<Credentials>({
    method: 'POST',
    path: `/v1/tenants/${tenantId}/credentials`,
    body: { user, ttlSeconds: 3600 },
  });

/** The npm client `etcd3` on all endpoints of a tenant. Close it. */
export async function etcd3Client(cloud: TestCloud, tenantId: string): Promise<Etcd3> {
  const [{ endpoints }, credentials] = await Promise.all([
    cloud.tenant(tenantId),
    issueCredentials(cloud, tenantId),
  ]);
  return new Etcd3({
    hosts: endpoints,
    credentials: {
      rootCertificate: Buffer.from(credentials.caBundle),
      privateKey: Buffer.from(credentials.privateKey),
      certChain: Buffer.from(credentials.certificate),
    },
    dialTimeout: 5_000,
  });
}

export interface Etcdctl {
  /** Runs `etcdctl <args>`; stdout trimmed. @throws Error with what it printed on failure */
  run(...args: string[]): Promise<string>;
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  dispose(): void;
}

const resolved = new Map<string, ReturnType<typeof resolveEtcd>>();
const binariesOf = (version: string) => {
  const found = resolved.get(version) ?? resolveEtcd(version, { machine: systemMachine(process.env) });
  resolved.set(version, found);
  return found;
};

/** etcdctl of the tenant's version with a certificate from the credentials route. */
export async function etcdctl(cloud: TestCloud, tenantId: string): Promise<Etcdctl> {
  const [{ endpoints, version }, credentials] = await Promise.all([
    cloud.tenant(tenantId),
    issueCredentials(cloud, tenantId),
  ]);
  const binaries = await binariesOf(version);
  const folder = mkdtempSync(join(tmpdir(), 'nanny-etcdctl-'));
  const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(files.ca, credentials.caBundle);
  writeFileSync(files.cert, credentials.certificate);
  writeFileSync(files.key, credentials.privateKey, { mode: 0o600 });
  return {
    files,
    async run(...args) {
      const { code, stdout, stderr } = await world.capture(binaries.etcdctl, args, {
        // etcdctl refuses a flag that is also in its environment.
        ...(!args.some((arg) => arg.startsWith('--endpoints')) && { ETCDCTL_ENDPOINTS: endpoints.join(',') }),
        ETCDCTL_CACERT: files.ca,
        ETCDCTL_CERT: files.cert,
        ETCDCTL_KEY: files.key,
      });
      if (code !== 0) throw new Error(`etcdctl ${args.join(' ')} exited ${code}: ${stderr}${stdout}`);
      return stdout.trim();
    },
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}
