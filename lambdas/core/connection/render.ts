import {
  type Connection,
  type ConnectionFormat,
  type CredentialFiles,
  chosenEndpoints,
  type EndpointChoice,
} from './connection.ts';

/** One word of a POSIX shell, quoted only when it must be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A YAML double-quoted scalar: JSON's escapes are a subset of YAML's. */
const yamlString = (text: string): string => JSON.stringify(text);

type Renderer = (connection: Connection, endpoints: readonly string[], files: CredentialFiles) => string;

/** No ETCDCTL_API: 3 is the default since etcd 3.4, and 3.6 warns of it. Names without CTL are for other clients; none of them is a flag variable of the etcd server itself. */
const env: Renderer = (connection, endpoints, files) => {
  const list = endpoints.join(',');
  const pairs = [
    ['ETCDCTL_ENDPOINTS', list],
    ['ETCDCTL_CACERT', files.ca],
    ['ETCDCTL_CERT', files.certificate],
    ['ETCDCTL_KEY', files.key],
    ['ETCD_ENDPOINTS', list],
    ['ETCD_CACERT', files.ca],
    ['ETCD_CERT', files.certificate],
    ['ETCD_KEY', files.key],
    ['ETCD_CLUSTER_ID', connection.clusterId],
  ] as const;
  return pairs.map(([name, value]) => `export ${name}=${shellWord(value)}\n`).join('');
};

const json: Renderer = (connection, endpoints, files) =>
  `${JSON.stringify({ ...connection, endpoints, files }, undefined, 2)}\n`;

const etcdctl: Renderer = (_connection, endpoints, files) =>
  `${[
    'etcdctl',
    `--endpoints=${shellWord(endpoints.join(','))}`,
    `--cacert=${shellWord(files.ca)}`,
    `--cert=${shellWord(files.certificate)}`,
    `--key=${shellWord(files.key)}`,
  ].join(' ')}\n`;

/** Flags of kube-apiserver; the tenant should have been made with autoCompaction off (Kubernetes compacts itself). */
const kubeApiserver: Renderer = (_connection, endpoints, files) =>
  [
    `--etcd-servers=${endpoints.join(',')}`,
    `--etcd-cafile=${files.ca}`,
    `--etcd-certfile=${files.certificate}`,
    `--etcd-keyfile=${files.key}`,
    '',
  ].join('\n');

/** The `etcd3` section of patroni.yml. Patroni wants hosts without scheme, and the scheme on its own. */
const patroni: Renderer = (_connection, endpoints, files) =>
  [
    'etcd3:',
    '  hosts:',
    ...endpoints.map((endpoint) => `    - ${yamlString(new URL(endpoint).host)}`),
    '  protocol: https',
    `  cacert: ${yamlString(files.ca)}`,
    `  cert: ${yamlString(files.certificate)}`,
    `  key: ${yamlString(files.key)}`,
    '',
  ].join('\n');

const renderers: Readonly<Record<ConnectionFormat, Renderer>> = {
  env,
  json,
  etcdctl,
  'kube-apiserver': kubeApiserver,
  patroni,
};

/** The connection as a client's own configuration; ends with a newline. */
export function renderConnection(
  connection: Connection,
  format: ConnectionFormat,
  files: CredentialFiles,
  choice: EndpointChoice = 'members',
): string {
  return renderers[format](connection, chosenEndpoints(connection, choice), files);
}
