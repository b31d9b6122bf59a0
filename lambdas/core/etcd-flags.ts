import { clientUrl, peerUrl, ports } from './members.ts';
import type { TenantSpec } from './model/spec.ts';

export interface EtcdFlagsInput {
  /** Exact version of the binary: flags are rendered for its minor. */
  readonly version: string;
  readonly memberName: string;
  readonly ip: string;
  readonly token: string;
  /** Member name → peer URL. */
  readonly initialCluster: Readonly<Record<string, string>>;
  /**
   * `new` only for the coordinated first boot. etcd ignores it when the disk holds data; `existing` makes sure that
   * an empty disk cannot found a cluster.
   */
  readonly initialClusterState: 'new' | 'existing';
  readonly spec: Pick<TenantSpec, 'quotaMiB' | 'autoCompaction'>;
}

/** TLS 1.2 suites with forward secrecy and AEAD only; TLS 1.3 has no others. Names as Go knows them. */
const cipherSuites = [
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
];

/** Bookmark events this often, so that watch caches (Kubernetes) can tell quiet from stuck. etcd's own default is 10 min. */
const watchProgressInterval = '5s';

/**
 * The whole command line of etcd, without the program. `{{data}}` and `{{pki}}` are filled in by the nanny.
 * A flag that a minor does not know makes etcd exit at once, so nothing is rendered "just in case".
 */
export function renderEtcdArguments(input: EtcdFlagsInput): string[] {
  const { ip, spec } = input;
  const initialCluster = initialClusterFlag(input.initialCluster);
  return [
    `--name=${input.memberName}`,
    '--data-dir={{data}}',
    `--listen-peer-urls=${peerUrl(ip)}`,
    `--initial-advertise-peer-urls=${peerUrl(ip)}`,
    `--listen-client-urls=${clientUrl(ip)}`,
    `--advertise-client-urls=${clientUrl(ip)}`,
    // A member that was restarted without quorum opens nothing else: this is how its nanny sees it.
    `--listen-metrics-urls=https://${ip}:${ports.metrics}`,
    `--initial-cluster=${initialCluster}`,
    `--initial-cluster-state=${input.initialClusterState}`,
    `--initial-cluster-token=${input.token}`,
    '--client-cert-auth',
    '--trusted-ca-file={{pki}}/ca.pem',
    '--cert-file={{pki}}/server.pem',
    '--key-file={{pki}}/server-key.pem',
    '--peer-client-cert-auth',
    '--peer-trusted-ca-file={{pki}}/ca.pem',
    '--peer-cert-file={{pki}}/peer.pem',
    '--peer-key-file={{pki}}/peer-key.pem',
    '--peer-cert-allowed-cn=etcd-peer',
    '--tls-min-version=TLS1.2',
    `--cipher-suites=${cipherSuites.join(',')}`,
    // 3.5's own default of 100000 keeps that many entries in memory.
    '--snapshot-count=10000',
    `--quota-backend-bytes=${spec.quotaMiB * 1024 * 1024}`,
    ...autoCompaction(spec.autoCompaction),
    '--max-request-bytes=1572864',
    '--pre-vote=true',
    '--strict-reconfig-check=true',
    '--enable-grpc-gateway=true',
    '--logger=zap',
    '--log-outputs=stderr',
    '--log-level=info',
    ...flagsOfMinor(input.version),
  ];
}

/** The same text for the same cluster, whoever asks. */
export const initialClusterFlag = (initialCluster: Readonly<Record<string, string>>): string =>
  Object.entries(initialCluster)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, url]) => `${name}=${url}`)
    .join(',');

function autoCompaction(wanted: TenantSpec['autoCompaction']): string[] {
  switch (wanted.mode) {
    case 'off':
      return ['--auto-compaction-retention=0'];
    case 'periodic':
      return ['--auto-compaction-mode=periodic', `--auto-compaction-retention=${wanted.retentionMinutes}m`];
    case 'revision':
      return ['--auto-compaction-mode=revision', `--auto-compaction-retention=${wanted.retentionRevisions}`];
  }
}

/** 3.5 knows only the experimental names, 3.6 both, 3.7 only the new ones. */
function flagsOfMinor(version: string): string[] {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  if (major !== 3 || minor < 5) throw new RangeError(`etcd ${version} is not supported: 3.5 is the oldest`);
  return minor === 5
    ? [
        '--experimental-initial-corrupt-check=true',
        '--experimental-compact-hash-check-enabled=true',
        `--experimental-watch-progress-notify-interval=${watchProgressInterval}`,
      ]
    : [
        '--feature-gates=CompactHashCheck=true,InitialCorruptCheck=true',
        `--watch-progress-notify-interval=${watchProgressInterval}`,
      ];
}
