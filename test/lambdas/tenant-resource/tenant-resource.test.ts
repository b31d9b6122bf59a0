import { createPrivateKey, X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { createResourceWorld, type ResourceWorld, secretArn } from './world.ts';

let world: ResourceWorld;
beforeEach(() => {
  world = createResourceWorld();
  world.whileWaiting(() => world.settle('acme'));
});

const stored = () => JSON.parse(world.secrets.get(secretArn)!);
const puts = () => world.calls.filter((call) => call.startsWith('PUT'));
const spec = async () => (await world.store.get('acme'))?.spec;

describe('create', () => {
  test('makes the tenant, waits until it is available, and gives where it is', async () => {
    const answer = await world.create({
      Spec: { members: '3', version: '3.6', deletionProtection: 'false' },
    });
    expect(answer).toMatchObject({
      Status: 'SUCCESS',
      PhysicalResourceId: 'acme',
      Data: {
        Endpoints: 'https://10.0.0.7:2379,https://10.0.1.7:2379,https://10.0.2.7:2379',
        DnsEndpoint: 'https://acme.etcd-nanny.internal:2379',
        DnsName: 'acme.etcd-nanny.internal',
        ClusterId: 'c1c1',
        SecretArn: secretArn,
      },
    });
    expect(await spec()).toMatchObject({ members: 3, version: '3.6.16' });
  });

  test('puts working credentials into the secret, and the key nowhere else', async () => {
    await world.create();
    const { privateKey, certificate, caBundle, user, notAfter } = stored();
    const leaf = new X509Certificate(certificate);
    expect(leaf.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
    expect(leaf.verify(new X509Certificate(caBundle).publicKey)).toBe(true);
    expect([user, leaf.subject.includes('CN=root')]).toEqual(['root', true]);
    expect(Date.parse(notAfter) - world.deps.clock.now().getTime()).toBeGreaterThan(89 * 86_400_000);
    const told = [...world.lines, ...world.calls].join('\n');
    expect(told).not.toContain('PRIVATE KEY');
    expect(told).not.toContain(privateKey.split('\n')[1]);
  });

  test('refuses a tenant that somebody else made, and its rollback leaves that one alone', async () => {
    await world.send('PUT', '/v1/tenants/acme', {});
    await world.finishCreation('acme');
    const answer = await world.create();
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'refused:acme' });
    expect(answer?.Reason).toMatch(/already, and this resource did not make it.*adopt: true/);
    expect(await world.remove({}, answer!.PhysicalResourceId)).toMatchObject({ Status: 'SUCCESS' });
    expect((await world.store.get('acme'))?.status.phase).toBe('available');
  });

  test('takes over what somebody else made when told to, and changes it to what the template says', async () => {
    await world.send('PUT', '/v1/tenants/acme', {});
    await world.finishCreation('acme');
    const answer = await world.create({ Adopt: 'true', Spec: { members: '5' } });
    expect(answer).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'acme' });
    expect((await spec())?.members).toBe(5);
  });

  test('refuses also what another resource of the same stack made: its deletion would take the tenant along', async () => {
    await world.create();
    world.advance(3_600_000);
    expect(await world.create()).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'refused:acme' });
  });

  test('takes back what an earlier life of the stack left when told to, and a failure then does not delete it', async () => {
    await world.create();
    world.advance(3_600_000);
    expect(await world.create({ Adopt: 'true' })).toMatchObject({
      Status: 'SUCCESS',
      PhysicalResourceId: 'acme',
    });
    const failed = await world.create({ Adopt: 'true', Spec: { version: '9.9' } });
    expect(failed).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'refused:acme' });
  });

  test('says what the API says about a wrong spec', async () => {
    const answer = await world.create({ Spec: { version: '9.9' } });
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'refused:acme' });
    expect(answer?.Reason).toContain('no version of etcd 9.9 is offered here');
  });

  test('gives up after its time with what it waited for, and the rollback deletes the half-made tenant', async () => {
    world.whileWaiting(async () => {});
    const answer = await world.create({ TimeoutMinutes: '10' });
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'acme' });
    expect(answer?.Reason).toMatch(/not ready within 10 minutes: its create goes on/);
    world.whileWaiting(() => world.settle('acme'));
    expect(await world.remove()).toMatchObject({ Status: 'SUCCESS' });
    expect(await world.store.get('acme')).toBeUndefined();
  });

  test('waits for a tenant of the same name that is still being deleted', async () => {
    await world.create();
    await world.send('DELETE', '/v1/tenants/acme?finalBackup=false');
    expect(await world.create()).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'acme' });
  });

  test('goes on in another invocation when the time of this one is nearly over', async () => {
    let left = 900_000;
    world = createResourceWorld({ remainingMs: () => left });
    world.whileWaiting(async () => {
      left -= 20_000;
    });
    expect(await world.create()).toBeUndefined();
    expect(world.continued).toHaveLength(1);
    left = 900_000;
    await world.settle('acme');
    expect(await world.invoke(world.continued[0])).toMatchObject({ Status: 'SUCCESS' });
    expect(puts()).toHaveLength(2);
  });
});

describe('update', () => {
  beforeEach(async () => {
    await world.create({ Spec: { members: '3', unreachableSeconds: '40' } });
    world.calls.length = 0;
  });

  test('scales and waits for it; the credentials stay as they are', async () => {
    const before = world.secrets.get(secretArn);
    const answer = await world.update({ Spec: { members: '5' } }, { Spec: { members: '3' } });
    expect(answer).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'acme' });
    expect((await spec())?.members).toBe(5);
    expect(world.secrets.get(secretArn)).toBe(before);
  });

  test('a field that the template no longer states goes back to its default, others stay as they are', async () => {
    await world.send('PATCH', '/v1/tenants/acme', { spec: { zoneOutageHoldMinutes: 7 } });
    await world.update({ Spec: { members: '3' } }, { Spec: { members: '3', unreachableSeconds: '40' } });
    expect(await spec()).toMatchObject({ unreachableSeconds: 20, zoneOutageHoldMinutes: 7 });
  });

  test('sends a version alone, after all else', async () => {
    const answer = await world.update({ Spec: { members: '5', version: '3.7' } });
    expect(answer).toMatchObject({ Status: 'SUCCESS' });
    expect(await spec()).toMatchObject({ members: 5, version: '3.7.3' });
  });

  test('fails with the reason of the operation', async () => {
    world.whileWaiting(async () => {
      const { operation, ...rest } = (await world.store.get('acme'))!;
      if (!operation) return;
      await world.end('acme', operation.operationId, 'failed', 'no task could be launched');
      await world.store.save({ ...rest, recordVersion: rest.recordVersion + 1 }, rest.recordVersion);
    });
    const answer = await world.update({ Spec: { members: '5' } });
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'acme' });
    expect(answer?.Reason).toContain('The scale of tenant "acme" failed: no task could be launched');
  });

  test('the rollback of a change that still goes on takes it back', async () => {
    world.whileWaiting(async () => {});
    const failed = await world.update(
      { Spec: { members: '5' }, TimeoutMinutes: '1' },
      { Spec: { members: '3' } },
    );
    expect(failed?.Reason).toMatch(/not ready within 1 minutes: its scale goes on/);
    world.whileWaiting(() => world.settle('acme'));
    const back = await world.update({ Spec: { members: '3' } }, { Spec: { members: '5' } });
    expect(back).toMatchObject({ Status: 'SUCCESS' });
    expect((await spec())?.members).toBe(3);
  });

  test('waits for an operation that somebody else has begun, and then does its own', async () => {
    await world.send('PATCH', '/v1/tenants/acme', { spec: { version: '3.7' } });
    expect(await world.update({ Spec: { members: '5' } })).toMatchObject({ Status: 'SUCCESS' });
    expect(await spec()).toMatchObject({ members: 5, version: '3.7.3' });
  });

  test('does not hold a deployment up for days until a maintenance window opens', async () => {
    world.whileWaiting(async () => {});
    const maintenanceWindow = { days: ['wed'], start: '03:30', minutes: '60' };
    const answer = await world.update({ Spec: { size: 'large', maintenanceWindow } });
    expect(answer).toMatchObject({ Status: 'SUCCESS' });
    expect(world.lines.join()).toContain('waits for the maintenance window at 2026-11-25T03:30');
    expect((await world.store.get('acme'))?.operation?.kind).toBe('resize');
  });

  test('never makes an empty cluster in the place of one that was deleted by other means', async () => {
    await world.send('DELETE', '/v1/tenants/acme?finalBackup=false');
    await world.settle('acme');
    const answer = await world.update({ Spec: { members: '5' } });
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'acme' });
    expect(answer?.Reason).toContain('is gone: somebody deleted it, not this stack');
  });
});

describe('another name', () => {
  beforeEach(async () => {
    await world.create();
    world.whileWaiting(async () => {
      await world.settle('acme');
      await world.settle('beta');
    });
  });

  test('makes the new tenant with credentials of its own and leaves the old one to the Delete that follows', async () => {
    const answer = await world.update({ TenantId: 'beta' });
    expect(answer).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'beta' });
    expect(stored().tenantId).toBe('beta');
    expect(await world.store.get('acme')).toBeDefined();
    expect(await world.remove({}, 'acme')).toMatchObject({ Status: 'SUCCESS' });
    expect(await world.store.get('acme')).toBeUndefined();
    expect(await world.store.get('beta')).toBeDefined();
  });

  test('rolled back, the secret is that of the old tenant again', async () => {
    await world.update({ TenantId: 'beta' });
    const back = await world.update({}, { TenantId: 'beta' }, 'beta');
    expect(back).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'acme' });
    expect(stored().tenantId).toBe('acme');
  });

  test('when the new one does not come up it goes again, and the resource stays the old one', async () => {
    world.whileWaiting(async () => {});
    const answer = await world.update({ TenantId: 'beta', TimeoutMinutes: '5' });
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'acme' });
    expect((await world.store.get('beta'))?.status.phase).toBe('deleting');
    expect((await world.store.get('acme'))?.status.phase).toBe('available');
  });
});

describe('delete', () => {
  test('waits until the tenant is gone, with a final backup unless refused', async () => {
    await world.create();
    expect(await world.remove()).toMatchObject({ Status: 'SUCCESS', PhysicalResourceId: 'acme' });
    expect(world.calls).toContain('DELETE /v1/tenants/acme?finalBackup=true');
    expect(await world.remove()).toMatchObject({ Status: 'SUCCESS' });
    await world.create();
    await world.remove({ FinalBackup: 'false' });
    expect(world.calls).toContain('DELETE /v1/tenants/acme?finalBackup=false');
  });

  test('respects deletion protection and says how to lift it', async () => {
    await world.create({ Spec: { deletionProtection: 'true' } });
    const answer = await world.remove();
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'acme' });
    expect(answer?.Reason).toMatch(/has deletion protection.*deletionProtection: false first/);
    expect((await world.store.get('acme'))?.status.phase).toBe('available');
  });

  test('protection does not hold up the rollback of a tenant that never came up', async () => {
    world.whileWaiting(async () => {});
    await world.create({ Spec: { deletionProtection: 'true' }, TimeoutMinutes: '5' });
    world.whileWaiting(() => world.settle('acme'));
    expect(await world.remove()).toMatchObject({ Status: 'SUCCESS' });
  });
});

describe('renewal', () => {
  const renew = () =>
    world.invoke({ Renew: { TenantId: 'acme', SecretArn: secretArn, User: 'root', CredentialsDays: '90' } });
  const day = 86_400_000;

  test('before two thirds of their life credentials stay, after it new ones take their place', async () => {
    await world.create();
    const first = stored().certificate;
    world.advance(59 * day);
    await renew();
    expect(stored().certificate).toBe(first);
    world.advance(2 * day);
    await renew();
    expect(stored().certificate).not.toBe(first);
    expect(world.lines.join()).not.toContain('PRIVATE KEY');
  });

  test('a new certificate authority is followed within a day', async () => {
    await world.create();
    const first = stored();
    const ca = await world.deps.pki.createAuthority('acme');
    await world.write('acme', (tenant) => ({
      ...tenant,
      pki: { ...tenant.pki!, caBundle: `${tenant.pki!.caBundle}${ca.certificate}` },
    }));
    await renew();
    expect(stored().caBundle).toContain(ca.certificate);
    expect(stored().certificate).not.toBe(first.certificate);
  });

  test('is no error while there is nothing to connect to', async () => {
    await renew();
    expect(world.lines.join()).toContain('no credentials renewed');
  });
});
