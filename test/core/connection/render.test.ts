import { describe, expect, test } from 'vitest';
import {
  type Connection,
  connectionFormats,
  credentialFilesIn,
} from '../../../lambdas/core/connection/connection.ts';
import { renderConnection, shellWord } from '../../../lambdas/core/connection/render.ts';

const connection: Connection = {
  tenantId: 'acme',
  endpoints: ['https://10.0.0.7:2379', 'https://10.0.1.7:2379'],
  dnsName: 'acme.etcd-nanny.internal',
  caBundle: '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n',
  clusterId: 'c1c1',
};
const files = credentialFilesIn('/etc/acme');

const golden: Record<(typeof connectionFormats)[number], string> = {
  env: `export ETCDCTL_ENDPOINTS=https://10.0.0.7:2379,https://10.0.1.7:2379
export ETCDCTL_CACERT=/etc/acme/ca.pem
export ETCDCTL_CERT=/etc/acme/client.pem
export ETCDCTL_KEY=/etc/acme/client-key.pem
export ETCD_ENDPOINTS=https://10.0.0.7:2379,https://10.0.1.7:2379
export ETCD_CACERT=/etc/acme/ca.pem
export ETCD_CERT=/etc/acme/client.pem
export ETCD_KEY=/etc/acme/client-key.pem
export ETCD_CLUSTER_ID=c1c1
`,
  json: `{
  "tenantId": "acme",
  "endpoints": [
    "https://10.0.0.7:2379",
    "https://10.0.1.7:2379"
  ],
  "dnsName": "acme.etcd-nanny.internal",
  "caBundle": "-----BEGIN CERTIFICATE-----\\nMII\\n-----END CERTIFICATE-----\\n",
  "clusterId": "c1c1",
  "files": {
    "ca": "/etc/acme/ca.pem",
    "certificate": "/etc/acme/client.pem",
    "key": "/etc/acme/client-key.pem"
  }
}
`,
  etcdctl:
    'etcdctl --endpoints=https://10.0.0.7:2379,https://10.0.1.7:2379 --cacert=/etc/acme/ca.pem ' +
    '--cert=/etc/acme/client.pem --key=/etc/acme/client-key.pem\n',
  'kube-apiserver': `--etcd-servers=https://10.0.0.7:2379,https://10.0.1.7:2379
--etcd-cafile=/etc/acme/ca.pem
--etcd-certfile=/etc/acme/client.pem
--etcd-keyfile=/etc/acme/client-key.pem
`,
  patroni: `etcd3:
  hosts:
    - "10.0.0.7:2379"
    - "10.0.1.7:2379"
  protocol: https
  cacert: "/etc/acme/ca.pem"
  cert: "/etc/acme/client.pem"
  key: "/etc/acme/client-key.pem"
`,
};

describe('connection formats', () => {
  test.each(connectionFormats)('%s is exactly what its client reads', (format) => {
    expect(renderConnection(connection, format, files)).toBe(golden[format]);
  });

  test.each(connectionFormats)('%s can name the tenant instead of its members', (format) => {
    const text = renderConnection(connection, format, files, 'dns');
    expect(text).toContain('acme.etcd-nanny.internal:2379');
    expect(text).not.toContain('10.0.0.7');
  });

  test('paths with spaces and quotes survive a shell', () => {
    expect(shellWord("/home/a b/it's")).toBe(`'/home/a b/it'\\''s'`);
    const text = renderConnection(connection, 'env', credentialFilesIn('/home/a b'));
    expect(text).toContain("export ETCDCTL_CACERT='/home/a b/ca.pem'\n");
  });

  test('files without a folder are those of the folder one is in', () => {
    expect(credentialFilesIn('')).toEqual({ ca: 'ca.pem', certificate: 'client.pem', key: 'client-key.pem' });
  });
});
