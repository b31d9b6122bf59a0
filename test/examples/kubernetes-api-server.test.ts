import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { flat, type Json } from '../lib/synth.ts';

const folder = new URL('../../examples/kubernetes-api-server', import.meta.url).pathname;
const outdir = mkdtempSync(join(tmpdir(), 'nanny-example-'));
let template: Json;
beforeAll(() => {
  const { context } = JSON.parse(readFileSync(join(folder, 'cdk.json'), 'utf8'));
  // As the CDK CLI starts it, without bundling.
  const { status, stderr } = spawnSync(process.execPath, ['app.ts'], {
    cwd: folder,
    encoding: 'utf8',
    env: {
      ...process.env,
      CDK_OUTDIR: outdir,
      CDK_CONTEXT_JSON: JSON.stringify({ ...context, 'aws:cdk:bundling-stacks': [] }),
    },
  });
  if (status !== 0) throw new Error(stderr);
  template = JSON.parse(readFileSync(join(outdir, 'kubernetes-api-server.template.json'), 'utf8'));
}, 180_000);
afterAll(() => rmSync(outdir, { recursive: true, force: true }));

const idOf = (type: string): string =>
  Object.entries<Json>(template.Resources).find(([, { Type }]) => Type === type)![0];

describe('the example: a Kubernetes API server with an etcd of its own', () => {
  test('synthesizes with the package as other apps import it', () => {
    const { Properties, DeletionPolicy } = template.Resources[idOf('Custom::EtcdTenant')];
    expect(Properties).toMatchObject({ TenantId: 'kubernetes', User: 'kube-apiserver', FinalBackup: true });
    expect(Properties.Spec).toMatchObject({ members: 3, version: '3.6', autoCompaction: { mode: 'off' } });
    expect(DeletionPolicy).toBe('Delete');
  });

  test('the server gets its endpoint and its credentials from the tenant, and so waits for it', () => {
    const tenant = idOf('Custom::EtcdTenant');
    const [pki, server] = flat(
      template.Resources[idOf('AWS::ECS::TaskDefinition')].Properties.ContainerDefinitions,
    );
    expect(server.Command).toContain(`--etcd-servers=<${tenant}.DnsEndpoint>`);
    expect(server.DependsOn).toEqual([{ Condition: 'SUCCESS', ContainerName: 'pki' }]);
    const secrets = Object.fromEntries(pki.Secrets.map(({ Name, ValueFrom }: Json) => [Name, ValueFrom]));
    expect(secrets).toMatchObject({
      CA: `<${tenant}.SecretArn>:caBundle::`,
      CERTIFICATE: `<${tenant}.SecretArn>:certificate::`,
      KEY: `<${tenant}.SecretArn>:privateKey::`,
    });
  });

  test('no private key is in the template', () => {
    expect(JSON.stringify(template)).not.toMatch(/PRIVATE KEY-----/);
  });
});
