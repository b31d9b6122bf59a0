import { backoffWait } from '../backoff.ts';
import type { Pin } from '../model/restore.ts';
import type { TenantRecord } from '../model/tenant.ts';
import { type QuorumView, replaceIncarnation, tellOf, waitLong, waitSoon } from '../primitives/index.ts';
import { pinSource } from '../restore/pin.ts';
import { prepare } from '../restore/prepare.ts';
import { confirmMs, snapshotPrefix } from '../safety-recovery.ts';
import { type QuorumLoss, quorumLoss } from '../sickness.ts';
import { type Decision, type Observation, step } from '../step.ts';
import { isFromStore } from './from-store.ts';
import {
  diskIsBest,
  leftDisks,
  lookAtDisks,
  lossWithDisks,
  tellFindings,
  waitForDisks,
} from './kept-disks.ts';
import { furtherThan, isBetterSource, lossOf, type Survivor, survivorsOf } from './survivor.ts';

/**
 * Quorum lost → a new incarnation from the best survivor (S5, S6): confirm, decide and say what may be lost, wait for
 * approval if asked to, save the survivor without restarting it, fence every old task, begin anew.
 *
 * @returns undefined while there is no loss of quorum to speak of
 */
export function planRecovery(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  view: QuorumView,
): Decision | undefined {
  const remediation = tenant.remediation!;
  const decided = recoveryOf(tenant);
  if (view.holds) {
    if (decided !== undefined) {
      const reason = 'quorum is back; the recovery is off';
      return step({ kind: 'begin-remediation', what: 'remediate', reason });
    }
    return remediation.quorumLostSince === undefined ? undefined : step({ kind: 'note-quorum', lost: false });
  }
  const loss = quorumLoss(tenant, observation, now);
  if (decided?.source !== undefined) {
    const { work } = tenant;
    if (work !== undefined) {
      return step({ kind: 'end-work', name: work.name, reason: 'what it made is in the bucket' });
    }
    const further = loss && furtherThan(tenant, observation, now, decided.source);
    return further
      ? begin(tenant, further, loss)
      : replaceIncarnation(tenant, observation, now, decided.source);
  }
  if (loss === undefined) {
    // Who answers again is not lost: a later loss has to last anew, and whoever agreed did so to another one.
    if (decided !== undefined) {
      const reason = 'members that were taken for lost answer again; the recovery is off';
      return step({ kind: 'begin-remediation', what: 'remediate', reason });
    }
    if (remediation.quorumLostSince !== undefined) return step({ kind: 'note-quorum', lost: false });
    const unwell = tellOf(view, [...view.sick, ...view.unsure, ...view.coming]);
    return waitSoon(
      'wait-for-quorum',
      `no quorum is seen, but no majority is known to be lost: ${unwell}`,
      5,
    );
  }
  return confirm(tenant, now, loss) ?? decide(tenant, observation, now, loss);
}

/** The recovery that was decided for the present incarnation. */
const recoveryOf = ({ remediation, incarnation }: TenantRecord) =>
  remediation?.recovery?.incarnation === incarnation.number ? remediation.recovery : undefined;

function confirm(tenant: TenantRecord, now: Date, loss: QuorumLoss): Decision | undefined {
  const since = tenant.remediation?.quorumLostSince;
  if (since === undefined) return step({ kind: 'note-quorum', lost: true });
  const left = Math.ceil((Date.parse(since) + confirmMs(tenant, loss.certain) - now.getTime()) / 1000);
  if (left <= 0) return undefined;
  const who = namesOf(loss).join(', ');
  return waitSoon(
    'confirm-quorum-loss',
    `quorum is lost since ${since} (${who}); it has to stay so`,
    Math.min(left, 5),
  );
}

function decide(tenant: TenantRecord, observation: Observation, now: Date, loss: QuorumLoss): Decision {
  const [best, ...others] = survivorsOf(tenant, observation);
  const decided = recoveryOf(tenant);
  if (best === undefined) return decideFromStore(tenant, observation, now, loss);
  const chosen = [best, ...others].find(({ member }) => member.name === decided?.survivor);
  if (decided === undefined || chosen === undefined || isBetterSource(best, chosen))
    return begin(tenant, best, loss);
  return (
    awaitApproval(tenant, decided) ??
    backoffWait(tenant, now) ??
    step({ kind: 'save-survivor', member: best.member.name, key: decided.key! })
  );
}

type Recovery = NonNullable<ReturnType<typeof recoveryOf>>;

const awaitApproval = (tenant: TenantRecord, decided: Recovery): Decision | undefined =>
  (tenant.spec.recovery === 'approve' || decided.mustBeApproved) && !tenant.remediation?.approved
    ? waitLong(
        'wait-for-approval',
        `a person has to agree to the recovery (nanny approve ${tenant.tenantId}): ${tenant.remediation?.reason}`,
        60,
      )
    : undefined;

/**
 * Nobody is left: the disks that the lost members have left, each looked at by a worker, or where none of them is
 * further the newest backup and what was shipped behind it, prepared by a worker (S6).
 */
function decideFromStore(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  loss: QuorumLoss,
): Decision {
  const decided = recoveryOf(tenant);
  const { operationId } = tenant.remediation!;
  if (!isFromStore(decided)) return chooseFromStore(tenant, observation, now, loss);
  const waiting = awaitApproval(tenant, decided) ?? backoffWait(tenant, now);
  if (waiting) return waiting;
  const looking = lookAtDisks(tenant, observation, now, decided);
  if (looking) return looking;
  const disk = diskIsBest(decided);
  if (disk !== undefined) return step({ kind: 'choose-disk', member: disk });
  const { pin } = decided;
  if (pin === undefined) {
    const reason = `${nobodyLeft(loss)}, none of their disks can be used (${tellFindings(decided)}), and there was no backup`;
    return { kind: 'blocked', reason, recheckSeconds: 300 };
  }
  // More is lost than was told, and agreed to: told anew, and asked anew where a person is asked.
  if (decided.disks !== undefined) {
    const instead = `No disk reaches as far (${tellFindings(decided)}). ${lossWithBackup(tenant, pin)}`;
    return beginFromStore(tenant, loss, instead, { pin });
  }
  const zone = tenant.work?.zone ?? loss.lost[0]!.zone;
  const preparation = prepare(tenant, observation, now, { operationId, pin, zone, untiring: true });
  switch (preparation.kind) {
    case 'decision':
      return preparation.decision;
    case 'done':
      return step({ kind: 'keep-prepared', operationId, result: preparation.result });
    case 'failed':
      return preparation.damagedKey === undefined
        ? { kind: 'blocked', reason: preparation.problem, recheckSeconds: 300 }
        : step({
            kind: 'condemn-backup',
            backupId: pin.backupId,
            key: preparation.damagedKey,
            problem: preparation.problem,
          });
  }
}

/** What there is when nobody is left, and what is lost with it. */
function chooseFromStore(
  tenant: TenantRecord,
  observation: Observation,
  now: Date,
  loss: QuorumLoss,
): Decision {
  const { catalogue } = observation;
  const nobody = nobodyLeft(loss);
  if (catalogue === undefined || observation.disks === undefined) {
    return waitSoon('read-catalogue', `${nobody}; disks and backups are being looked for`);
  }
  const left = leftDisks(tenant, observation, now);
  if (left.kind === 'coming') {
    const reason = `${nobody}; ${left.reason}`;
    return left.disagree ? { kind: 'blocked', reason, recheckSeconds: 30 } : waitForDisks(reason);
  }
  const restorable = pinSource({ kind: 'newest' }, catalogue, tenant.cell);
  const pin = restorable.kind === 'pinned' ? restorable.pin : undefined;
  if (left.disks.length === 0 && pin === undefined) {
    const problem = restorable.kind === 'impossible' ? restorable.problem : '';
    return { kind: 'blocked', reason: `${nobody}, and ${problem}`, recheckSeconds: 60 };
  }
  const what = left.disks.length > 0 ? lossWithDisks(tenant, left) : lossWithBackup(tenant, pin!);
  return beginFromStore(tenant, loss, what, {
    ...(left.disks.length > 0 && { disks: [...left.disks] }),
    ...(pin && { pin }),
  });
}

const beginFromStore = (
  { incarnation }: TenantRecord,
  loss: QuorumLoss,
  what: string,
  source: Pick<Recovery, 'disks' | 'pin'>,
): Decision =>
  step({
    kind: 'begin-remediation',
    what: 'recover',
    reason: `Quorum is lost: ${namesOf(loss).join(', ')} gone, and nobody is left. ${what}${doubtOf(loss)}`,
    recovery: { incarnation: incarnation.number, ...source, mustBeApproved: !loss.certain },
  });

function lossWithBackup({ highestRevision: known, incarnation }: TenantRecord, pin: Pin): string {
  const missing = known > pin.expectedRevision ? ` (${known} was seen before)` : '';
  return `Best source is backup ${pin.backupId} with ${pin.segments} segments behind it, up to revision ${pin.expectedRevision}${missing}${whatItIs(pin, incarnation.number)}. Everything written after ${pin.contentAt} is lost.`;
}

/** Where it is none that the present cluster has given: nobody should take it for one. */
function whatItIs({ incarnation, bumpRevision, until }: Pin, present: number): string {
  if (incarnation === present)
    return bumpRevision === undefined
      ? ''
      : `: what incarnation ${present} began from, which has no backup of its own yet`;
  return until?.revision === undefined
    ? `: of incarnation ${incarnation}, before the one that is lost`
    : `: of incarnation ${incarnation}, up to what the one that is lost was made of; nothing of its own can be used`;
}

const nobodyLeft = (loss: QuorumLoss): string =>
  `quorum is lost (${namesOf(loss).join(', ')}) and no member is left that could give a snapshot`;

const doubtOf = ({ certain }: QuorumLoss): string =>
  certain
    ? ''
    : ' ECS says that lost members still run: they may serve clients where nobody sees it, so a person has to agree.';

function begin(tenant: TenantRecord, best: Survivor, loss: QuorumLoss): Decision {
  const { incarnation, remediation } = tenant;
  const lost = namesOf(loss);
  // One that is saved once more, because it has more by now, needs another key: nothing is written over.
  const name = `${remediation!.operationId}-${best.self.revision}-${best.member.name}.snap`;
  const key = `${snapshotPrefix(tenant)}${name}`;
  return step({
    kind: 'begin-remediation',
    what: 'recover',
    reason: `Quorum is lost: ${lost.join(', ')} ${lost.length === 1 ? 'is' : 'are'} gone. ${lossOf(tenant, best, lost)}${doubtOf(loss)}`,
    recovery: {
      incarnation: incarnation.number,
      survivor: best.member.name,
      key,
      mustBeApproved: !loss.certain,
    },
  });
}

const namesOf = (loss: QuorumLoss): string[] => loss.lost.map((member) => member.name);
