import { dutyOf } from '../core/duty.ts';
import { initialClusterFlag, renderEtcdArguments } from '../core/etcd-flags.ts';
import { etcdCluster, peerUrl, wantedMembers, withMembers } from '../core/members.ts';
import type { Incarnation, TenantRecord } from '../core/model/tenant.ts';
import { checkStep } from '../core/safety.ts';
import { nothingSeen } from '../core/step.ts';
import { updateTenant } from '../core/update-tenant.ts';
import type { IssuedCertificates, JoinAnswer, JoinRequest, RestoreOrder } from '../core/wire/join.ts';
import { admit } from './admit.ts';
import { leafSigner, signLeaves } from './certificates.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';
import { tell } from './tell.ts';
import { joinWorker } from './work.ts';

/** All members ask until the last one has joined; quick at first, calm once the last one takes its time. */
const quickMs = 200;
const calmMs = 1_000;
const quickForMs = 10_000;
/** While one call is held the record is read this often: a call anew costs both sides several times as much. */
const readEachMs = 25;

const wait = (reason: string, retryAfterMs = quickMs): JoinAnswer => ({
  answer: 'wait',
  reason,
  retryAfterMs,
});

/**
 * "Who am I, may I start?" The first call of a task records its address. The call that makes the wanted members
 * complete fixes the initial cluster in the same conditional save, so all of them are told the very same one.
 *
 * @param holdMs so long a call of a member is kept that would be told to wait: what it waits for mostly comes within that
 * @throws NotThisTaskError, InvalidRequestError (a certificate request is bad)
 */
export async function join(
  deps: JoinDeps,
  request: JoinRequest,
  caller: JoinCaller,
  holdMs = 0,
): Promise<JoinAnswer> {
  const admission = await admit(deps, request, caller);
  if (admission.kind === 'leave') return { answer: 'leave', reason: admission.reason };
  if (admission.kind === 'wait') return wait(admission.reason);
  let { tenant } = admission;
  if (tenant.status.phase === 'deleting') return { answer: 'leave', reason: 'the tenant is being deleted' };
  if (tenant.pki === undefined) return wait('the certificate authority is being made');

  if (admission.kind === 'worker') return joinWorker(deps, request, caller, tenant, admission.work);
  let certificates: IssuedCertificates | undefined;
  if (admission.kind === 'newcomer') {
    const { name, taskArn } = admission.member;
    const ip = caller.sourceIp;
    // Checked before anything is recorded: a bad request must not make a member of its sender.
    const sign = await leafSigner(deps, tenant, request.csrs);
    const record = async () => {
      const recorded = await updateTenant(deps, tenant, (stored) =>
        withJoined(stored, taskArn, name, ip, deps.clock.now()),
      );
      if (recorded.saved && recorded.tenant && recorded.tenant.incarnation.state !== 'gathering') {
        await deps.dispatcher.look(tenant.tenantId, dutyOf(recorded.tenant));
      }
      return recorded.tenant;
    };
    const [signed, recorded] = await Promise.all([sign({ name, ip }), record()]);
    if (recorded === undefined) return { answer: 'leave', reason: 'the tenant has been deleted' };
    certificates = signed;
    tenant = recorded;
  }
  let answer = await answerFor(deps, tenant, request, certificates);
  for (let left = holdMs; left > 0 && isQuick(answer); left -= readEachMs) {
    await deps.clock.sleep(readEachMs);
    const stored = await deps.store.get(tenant.tenantId);
    if (stored === undefined) return { answer: 'leave', reason: 'the tenant has been deleted' };
    answer = await answerFor(deps, stored, request, certificates);
  }
  if (answer.answer === 'boot' && answer.mode === 'resume' && request.hasData) {
    await tell(
      deps,
      request,
      `${request.memberName}: its nanny was started again; etcd goes on with its data.`,
    );
  }
  return answer;
}

const isQuick = (answer: JoinAnswer): boolean => answer.answer === 'wait' && answer.retryAfterMs <= quickMs;

/** The member with its address; and, when it was the last one missing, the initial cluster for all. */
function withJoined(
  stored: TenantRecord,
  taskArn: string,
  name: string,
  ip: string,
  now: Date,
): TenantRecord | undefined {
  const member = stored.members[name];
  if (member?.state !== 'launching' || member.taskArn !== taskArn) return undefined;
  const joinedAt = now.toISOString();
  const tenant = withMembers(stored, [{ ...member, state: 'joined', ip, joinedAt }]);
  const { incarnation } = tenant;
  const joined = wantedMembers(tenant).flatMap((wanted) => (wanted.state === 'joined' ? [wanted] : []));
  const complete =
    joined.length === tenant.spec.members && wantedMembers(tenant).length === tenant.spec.members;
  const bootstrapping = tenant.status.phase === 'creating' || tenant.status.phase === 'recovering';
  if (incarnation.state !== 'gathering' || !bootstrapping || !complete) return tenant;
  const initialCluster = Object.fromEntries(joined.map((each) => [each.name, peerUrl(each.ip)]));
  return { ...tenant, incarnation: { ...incarnation, state: 'booting', initialCluster, bootedAt: joinedAt } };
}

async function answerFor(
  deps: JoinDeps,
  tenant: TenantRecord,
  request: JoinRequest,
  signed: IssuedCertificates | undefined,
): Promise<JoinAnswer> {
  const member = tenant.members[request.memberName];
  if (member === undefined || member.state === 'leaving') {
    return { answer: 'leave', reason: `${request.memberName} is not wanted any more` };
  }
  if (!('ip' in member)) return wait('the join is being recorded');
  const { incarnation } = tenant;
  const waited = deps.clock.now().getTime() - Date.parse(member.joinedAt);
  const patience = waited < quickForMs ? quickMs : calmMs;
  if (incarnation.state === 'gathering') {
    const wanted = wantedMembers(tenant);
    const joined = wanted.filter((each) => each.state === 'joined').length;
    return wait(`${joined} of ${tenant.spec.members} members have joined`, patience);
  }
  const mode = bootMode(deps, tenant, incarnation, request);
  if (mode === undefined) return wait(`${member.name} is not in the cluster yet`, patience);
  // As it was made, not as the spec is by now: the operation that changes the spec replaces members one by one.
  const version = member.made?.version ?? tenant.spec.version;
  return {
    answer: 'boot',
    mode,
    incarnation: incarnation.number,
    etcdVersion: version,
    etcdArguments: renderEtcdArguments({
      version,
      memberName: member.name,
      ip: member.ip,
      token: incarnation.token,
      initialCluster: incarnation.state === 'formed' ? etcdCluster(tenant) : incarnation.initialCluster,
      initialClusterState: mode === 'new' ? 'new' : 'existing',
      spec: {
        quotaMiB: member.made?.quotaMiB ?? tenant.spec.quotaMiB,
        autoCompaction: member.made?.autoCompaction ?? tenant.spec.autoCompaction,
      },
    }),
    certificates: signed ?? (await signLeaves(deps, tenant, member, request.csrs)),
    ...(mode === 'restore' && { restore: restoreOrder(deps, incarnation, member.ip) }),
  };
}

/** The same file and the same initial cluster for all: every member makes the same first data of them. */
function restoreOrder(
  deps: JoinDeps,
  incarnation: Exclude<Incarnation, { state: 'gathering' }>,
  ip: string,
): RestoreOrder {
  if (incarnation.state !== 'booting' || incarnation.restore === undefined) {
    throw new Error(`Incarnation ${incarnation.number} has nothing to restore.`);
  }
  const { key, sha256, bumpRevision } = incarnation.restore;
  return {
    bucket: deps.cell.backupBucket,
    key,
    sha256,
    bumpRevision,
    initialCluster: initialClusterFlag(incarnation.initialCluster),
    initialAdvertisePeerUrl: peerUrl(ip),
    token: incarnation.token,
  };
}

/**
 * A disk that holds data is resumed, and so is a voter without: it has lost its data, and its nanny says so. A learner
 * whose disk is empty joins; it has never voted, so that an empty disk takes nothing back. `new` goes through the safety rules (S3) and is never given
 * after the latch.
 */
function bootMode(
  deps: JoinDeps,
  tenant: TenantRecord,
  incarnation: Exclude<Incarnation, { state: 'gathering' }>,
  request: JoinRequest,
): 'new' | 'existing' | 'resume' | 'restore' | undefined {
  const { memberName } = request;
  const state = tenant.members[memberName]?.state ?? '';
  if (state === 'learner' && !request.hasData) return 'existing';
  const isMember = ['voting', 'learner'].includes(state);
  if (isMember || (request.hasData && memberName in incarnation.initialCluster)) return 'resume';
  const verdict = checkStep({
    step: { kind: 'boot-new', member: memberName, incarnation: incarnation.number },
    tenant,
    observation: nothingSeen,
    now: deps.clock.now(),
    zones: deps.cell.subnets.map((subnet) => subnet.zone),
  });
  if (verdict.allowed) {
    return incarnation.state === 'booting' && incarnation.restore !== undefined ? 'restore' : 'new';
  }
  // Whoever joins a cluster that runs waits until it is a learner of it: that is no news.
  if (state !== 'joined' || incarnation.state !== 'formed') {
    deps.log.warn(verdict.reason, { tenantId: tenant.tenantId, memberName, rule: verdict.rule });
  }
  return undefined;
}
