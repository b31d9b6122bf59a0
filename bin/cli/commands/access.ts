import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Argument, Option } from 'commander';
import {
  type Connection,
  type ConnectionFormat,
  type CredentialFiles,
  connectionFormats,
  type EndpointChoice,
  endpointChoices,
} from '../../../lambdas/core/connection/connection.ts';
import { renderConnection } from '../../../lambdas/core/connection/render.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import { cachedClient, issueClient, writeClient } from '../client-files.ts';
import { type CommonOptions, examples, pathOf } from '../context.ts';
import { CliError } from '../errors.ts';
import { etcdctlEnvironment } from '../etcdctl.ts';
import { clockTime } from '../format.ts';
import { duration } from '../values.ts';
import type { Define } from './index.ts';

const hour = 3600;
const day = 24 * hour;

/** What a rendered connection is called in the folder of --out. */
const fileNames: Readonly<Record<ConnectionFormat, string>> = {
  env: 'etcd.env',
  json: 'connection.json',
  etcdctl: 'etcdctl.txt',
  'kube-apiserver': 'kube-apiserver.flags',
  patroni: 'patroni.yml',
};

interface ConnectOptions extends CommonOptions {
  readonly format: ConnectionFormat;
  readonly out?: string;
  readonly endpoints: EndpointChoice;
  readonly user: string;
  readonly ttl?: number;
}

export function defineAccess(define: Define): void {
  define<CommonOptions & { user: string; ttl: number; csr?: string; out?: string }>(
    'credentials <tenant>',
    (command) =>
      command
        .description('issue a client certificate')
        .requiredOption('--user <name>', "common name of the certificate: etcd's user once auth is enabled")
        .option('--ttl <time>', 'how long it is valid: 1h to 1y', duration, day)
        .option('--csr <file>', 'certificate request (PKCS#10, PEM); without it a key is made here')
        .option('--out <dir>', 'write ca.pem, client.pem and client-key.pem there instead of printing them')
        .addHelpText(
          'after',
          examples(
            'credentials acme --user alice --ttl 24h --out ./alice',
            'credentials acme --user alice --csr alice.csr > alice.pem',
          ),
        ),
    async (context, options, tenantId) => {
      const csr =
        options.csr === undefined ? undefined : await readCsr(resolve(context.world.cwd, options.csr));
      const api = await context.api();
      const request = { user: options.user, ttlSeconds: options.ttl, ...(csr === undefined ? {} : { csr }) };
      const issued = await issueClient(context.world, api, tenantId, request);
      if (options.out === undefined) {
        context.print(issued, () => {
          context.progress(
            `Certificate of "${issued.user}", valid until ${issued.notAfter}; then key and CA:`,
          );
          return [issued.certificate, issued.privateKey ?? '', issued.caBundle]
            .join('')
            .trimEnd()
            .split('\n');
        });
        return;
      }
      const files = await writeClient(resolve(context.world.cwd, options.out), issued);
      const { privateKey, ...shown } = issued;
      const written = privateKey === undefined ? { ca: files.ca, certificate: files.certificate } : files;
      context.print({ ...shown, files: written }, () => [
        `Certificate of "${issued.user}", valid until ${clockTime(issued.notAfter, context.world.now())}:`,
        ...Object.values(written).map((file) => `  ${file}`),
      ]);
    },
  );

  define<ConnectOptions>(
    'connect <tenant>',
    (command) =>
      command
        .description("print how to reach the cluster, as a client's own configuration")
        .addOption(
          new Option('--format <format>', 'of the configuration').choices(connectionFormats).default('env'),
        )
        .option('--out <dir>', 'write credentials and configuration there')
        .addOption(
          new Option('--endpoints <which>', "members' addresses, or the tenant's name (inside the VPC)")
            .choices(endpointChoices)
            .default('members'),
        )
        .option('--user <name>', 'user of the client certificate', 'root')
        .option('--ttl <time>', 'life of the certificate (default: 24h, with --out 30d)', duration)
        .addHelpText(
          'after',
          examples(
            'connect acme                        # then: eval "$(nanny connect acme)" && etcdctl get --prefix ""',
            'connect acme --format kube-apiserver --out /etc/kubernetes/etcd --ttl 1y',
            'connect acme --format patroni --endpoints dns',
          ),
        ),
    async (context, options, tenantId) => {
      const api = await context.api();
      const { world } = context;
      const connection = await api.call<Connection>({ method: 'GET', path: pathOf(tenantId, '/connection') });
      const out = options.out === undefined ? undefined : resolve(world.cwd, options.out);
      const client = { user: options.user, ttlSeconds: options.ttl ?? (out === undefined ? day : 30 * day) };
      const files =
        out === undefined
          ? await cachedClient(world, api, connection, client)
          : await writeClient(out, await issueClient(world, api, tenantId, client));
      const text = renderConnection(connection, options.format, files, options.endpoints);
      const document = JSON.parse(renderConnection(connection, 'json', files, options.endpoints));
      if (out === undefined) {
        context.progress(
          `The certificate of "${options.user}" lies in ${dirname(files.ca)} and is short-lived; ` +
            'to give it to a service, write it where that looks: --out <dir> --ttl <time>.',
        );
        context.print(document, () => text.trimEnd().split('\n'));
        return;
      }
      const file = join(out, fileNames[options.format]);
      await writeConfiguration(file, text);
      context.print({ ...document, written: file }, () => writtenLines(file, files));
    },
  );

  define<CommonOptions & { user: string }>(
    'etcdctl <tenant>',
    (command) =>
      command
        .description('run etcdctl against the cluster with short-lived credentials')
        .addArgument(new Argument('[args...]', "etcdctl's own arguments").default([]))
        .option('--user <name>', 'user of the client certificate', 'root')
        // Options that are not ours are etcdctl's; behind `--` all of them are.
        .allowUnknownOption()
        .addHelpText(
          'after',
          examples(
            'etcdctl acme -- put hello world',
            'etcdctl acme -- get --prefix "" --keys-only',
            'etcdctl acme -- member list -w table',
          ),
        ),
    async (context, options, tenantId, rest) => {
      const args = [...((rest as unknown as string[]) ?? []), ...(context.json ? ['-w', 'json'] : [])];
      const api = await context.api();
      const { world } = context;
      const [connection, tenant] = await Promise.all([
        api.call<Connection>({ method: 'GET', path: pathOf(tenantId, '/connection') }),
        api.call<TenantDocument>({ method: 'GET', path: pathOf(tenantId) }),
      ]);
      const files = await cachedClient(world, api, connection, { user: options.user, ttlSeconds: hour });
      const { etcdctl } = await world.etcdBinaries(tenant.version, context.progress);
      return world.run(etcdctl, args, etcdctlEnvironment(world.env, connection, files, args));
    },
  );
}

async function readCsr(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(`The certificate request ${file} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

async function writeConfiguration(file: string, text: string): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text, { mode: 0o600 });
}

const writtenLines = (file: string, files: CredentialFiles): string[] => [
  'Written:',
  ...[file, files.ca, files.certificate, files.key].map((path) => `  ${path}`),
];
