import { describe, expect, test } from 'vitest';
import type { Member } from '../../../lambdas/core/model/member.ts';
import type { JoinAnswer } from '../../../lambdas/core/wire/join.ts';
import { problemsOf, World } from '../../fakes/sim/world.ts';

const csrs = { peer: 'csr', server: 'csr', admin: 'csr', client: 'csr' };

/** A healthy cluster, and one member of it turned into what the test needs. */
async function withMember(change: (member: Extract<Member, { state: 'voting' }>) => Member) {
  const world = new World();
  await world.createTenant('acme');
  await world.until(async () => (await problemsOf(world, 'acme')).length === 0);
  const tenant = (await world.store.get('acme'))!;
  const [first] = Object.values(tenant.members) as Extract<Member, { state: 'voting' }>[];
  const changed = change(first!);
  await world.store.save(
    {
      ...tenant,
      recordVersion: tenant.recordVersion + 1,
      spec: { ...tenant.spec, version: '3.7.3', quotaMiB: 8192 },
      members: { ...tenant.members, [changed.name]: changed },
    },
    tenant.recordVersion,
  );
  const join = async (hasData: boolean) => {
    const { body } = await world.callJoin(
      'join',
      { tenantId: 'acme', memberName: changed.name, csrs, hasData },
      { session: first!.taskArn.split('/').at(-1)!, sourceIp: first!.ip },
    );
    return body as JoinAnswer & { etcdArguments: string[] };
  };
  return { join, tenant, world };
}

const learner = (member: Extract<Member, { state: 'voting' }>): Member => ({ ...member, state: 'learner' });

describe('a learner that asks to join', () => {
  test('boots into the existing cluster, with the list of everybody etcd knows', async () => {
    const { join, tenant } = await withMember(learner);
    const answer = await join(false);
    expect(answer).toMatchObject({ answer: 'boot', mode: 'existing', incarnation: 1 });
    const cluster = answer.etcdArguments.find((each) => each.startsWith('--initial-cluster='));
    for (const member of Object.values(tenant.members)) {
      expect(cluster).toContain(`${member.name}=https://${'ip' in member ? member.ip : ''}:2380`);
    }
    expect(answer.etcdArguments).toContain('--initial-cluster-state=existing');
  });

  test('resumes when its disk holds data already', async () => {
    const { join } = await withMember(learner);
    expect(await join(true)).toMatchObject({ answer: 'boot', mode: 'resume' });
  });

  test('runs what it was made as, not what the spec says by now', async () => {
    const { join } = await withMember(learner);
    const answer = await join(false);
    expect(answer).toMatchObject({ etcdVersion: '3.6.16' });
    expect(answer.etcdArguments).toContain(`--quota-backend-bytes=${2048 * 1024 * 1024}`);
  });
});

describe('others that ask to join a formed cluster', () => {
  test('wait until etcd has been told of them', async () => {
    const { join, world } = await withMember(({ etcdId: _etcdId, seen: _seen, ...member }) => ({
      ...member,
      state: 'joined',
    }));
    const [answer] = await Promise.all([join(false), world.settle(2)]);
    expect(answer).toMatchObject({ answer: 'wait' });
  });

  test('resume as voters even without data: what is lost is never started anew (S3)', async () => {
    const { join } = await withMember((member) => member);
    expect(await join(false)).toMatchObject({ answer: 'boot', mode: 'resume' });
  });
});
