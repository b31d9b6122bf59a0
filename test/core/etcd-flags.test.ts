import { expect, test } from 'vitest';
import { renderEtcdArguments } from '../../lambdas/core/etcd-flags.ts';

const input = {
  version: '3.6.16',
  memberName: 'maaaaaaaa',
  ip: '10.0.0.1',
  token: 'token',
  initialCluster: { mbbbbbbbb: 'https://10.0.0.2:2380', maaaaaaaa: 'https://10.0.0.1:2380' },
  initialClusterState: 'new',
  spec: { quotaMiB: 2048, autoCompaction: { mode: 'periodic', retentionMinutes: 60 } },
} as const;

test('the command line is this, so that a change of it is a change on purpose', () => {
  expect(renderEtcdArguments(input)).toMatchInlineSnapshot(`
    [
      "--name=maaaaaaaa",
      "--data-dir={{data}}",
      "--listen-peer-urls=https://10.0.0.1:2380",
      "--initial-advertise-peer-urls=https://10.0.0.1:2380",
      "--listen-client-urls=https://10.0.0.1:2379",
      "--advertise-client-urls=https://10.0.0.1:2379",
      "--listen-metrics-urls=https://10.0.0.1:2381",
      "--initial-cluster=maaaaaaaa=https://10.0.0.1:2380,mbbbbbbbb=https://10.0.0.2:2380",
      "--initial-cluster-state=new",
      "--initial-cluster-token=token",
      "--client-cert-auth",
      "--trusted-ca-file={{pki}}/ca.pem",
      "--cert-file={{pki}}/server.pem",
      "--key-file={{pki}}/server-key.pem",
      "--peer-client-cert-auth",
      "--peer-trusted-ca-file={{pki}}/ca.pem",
      "--peer-cert-file={{pki}}/peer.pem",
      "--peer-key-file={{pki}}/peer-key.pem",
      "--peer-cert-allowed-cn=etcd-peer",
      "--tls-min-version=TLS1.2",
      "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
      "--snapshot-count=10000",
      "--quota-backend-bytes=2147483648",
      "--auto-compaction-mode=periodic",
      "--auto-compaction-retention=60m",
      "--max-request-bytes=1572864",
      "--pre-vote=true",
      "--strict-reconfig-check=true",
      "--enable-grpc-gateway=true",
      "--logger=zap",
      "--log-outputs=stderr",
      "--log-level=info",
      "--feature-gates=CompactHashCheck=true,InitialCorruptCheck=true",
      "--watch-progress-notify-interval=5s",
    ]
  `);
});

test('flags of each minor are those that it knows', () => {
  const of = (version: string) => renderEtcdArguments({ ...input, version }).join(' ');
  expect(of('3.5.35')).toContain('--experimental-compact-hash-check-enabled=true');
  expect(of('3.5.35')).not.toContain('--feature-gates');
  for (const version of ['3.6.16', '3.7.3']) {
    expect(of(version)).toContain('--feature-gates=CompactHashCheck=true,InitialCorruptCheck=true');
    expect(of(version)).not.toContain('experimental');
  }
  expect(() => of('3.4.45')).toThrow('3.5 is the oldest');
});

test('all members get the same initial cluster, whatever the order of the record', () => {
  const { maaaaaaaa, mbbbbbbbb } = input.initialCluster;
  const turned = { maaaaaaaa, mbbbbbbbb };
  expect(renderEtcdArguments({ ...input, initialCluster: turned })).toEqual(renderEtcdArguments(input));
});

test.each([
  [{ mode: 'off' }, ['--auto-compaction-retention=0']],
  [
    { mode: 'periodic', retentionMinutes: 5 },
    ['--auto-compaction-mode=periodic', '--auto-compaction-retention=5m'],
  ],
  [
    { mode: 'revision', retentionRevisions: 1000 },
    ['--auto-compaction-mode=revision', '--auto-compaction-retention=1000'],
  ],
] as const)('auto compaction %j', (autoCompaction, wanted) => {
  const rendered = renderEtcdArguments({ ...input, spec: { ...input.spec, autoCompaction } });
  expect(rendered.filter((each) => each.startsWith('--auto-compaction'))).toEqual(wanted);
});
