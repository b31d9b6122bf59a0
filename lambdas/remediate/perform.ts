import { withoutBackoff } from '../core/backoff.ts';
import { assessHealth, type Health, statusFrom } from '../core/conditions.ts';
import { TransientError } from '../core/errors.ts';
import { membersIn, withMembers } from '../core/members.ts';
import type { Member } from '../core/model/member.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import type { Outcome, PerformContext, Performers } from '../core/perform.ts';
import type { Cell, Log, NannyClient, NannyTarget, TenantStore } from '../core/ports.ts';
import { quorumView } from '../core/primitives/index.ts';
import { bumpFor, ownState } from '../core/restore/source.ts';
import { withSickness } from '../core/sickness.ts';

export interface RemediateDeps {
  readonly cell: Cell;
  readonly store: Pick<TenantStore, 'noteSick'>;
  readonly log: Pick<Log, 'error'>;
  readonly nannies: Pick<NannyClient, 'compact' | 'defragment' | 'disarm' | 'snapshot'>;
}

type Remediation = NonNullable<TenantRecord['remediation']>;

/** The steps that only remediation takes. */
export function remediatePerformers(deps: RemediateDeps): Performers {
  const { nannies } = deps;
  const zones = deps.cell.subnets.map((subnet) => subnet.zone);
  return {
    async 'note-quorum'({ lost }, { now }) {
      return {
        message: lost ? 'No quorum: a majority of the members is gone.' : 'Quorum is back.',
        mutate: changing(({ quorumLostSince, ...rest }) => {
          if (!lost) return quorumLostSince === undefined ? undefined : rest;
          return quorumLostSince === undefined ? { ...rest, quorumLostSince: now.toISOString() } : undefined;
        }),
      };
    },

    async 'note-sick'({ members: names }, { tenant: known, observation, now }) {
      const health = assessHealth(known, observation, now, zones);
      return {
        message: `Not well: ${names.map((name) => `${name} (${health.members[name]?.problem})`).join(', ')}.`,
        mutate: (tenant) => {
          const members = membersIn(tenant, 'voting').flatMap((member): Member[] => {
            const seen = health.members[member.name];
            return names.includes(member.name) && seen?.healthy === false
              ? [withSickness(member, seen, now)]
              : [];
          });
          return members.length > 0 ? withMembers(tenant, members) : undefined;
        },
      };
    },

    async 'note-zone'({ zone, since }) {
      return {
        message: `Nothing can be started in ${zone}.`,
        mutate: changing((remediation) => ({ ...remediation, zoneOut: { zone, since } })),
      };
    },

    async 'begin-remediation'({ what, reason, recovery }, { tenant, now }) {
      return {
        event: 'decided',
        message: reason,
        mutate: (stored) => {
          if (stored.remediation?.operationId !== tenant.remediation?.operationId) return undefined;
          const { approved: _approved, recovery: _recovery, quorumLostSince, ...rest } = stored.remediation!;
          const remediation: Remediation =
            what === 'recover'
              ? {
                  ...rest,
                  kind: what,
                  reason,
                  ...(quorumLostSince && { quorumLostSince }),
                  ...(recovery && { recovery }),
                }
              : { ...rest, kind: what, reason };
          const { conditions } = stored.status;
          const since = now.toISOString();
          return {
            ...stored,
            remediation,
            status: { phase: what === 'recover' ? 'recovering' : 'degraded', conditions, since, reason },
          };
        },
      };
    },

    async 'save-survivor'({ member: name, key }, { tenant }) {
      const target = targetOf(tenant, name);
      if (target === undefined) return notYet(`${name} is no voter any more`);
      const progress = await nannies.snapshot(target, fenceOf(tenant), {
        bucket: deps.cell.backupBucket,
        key,
      });
      if (progress.state === 'running') {
        return notYet(`${name} is writing its snapshot to S3 (${Math.floor(progress.bytes / 2 ** 20)} MiB)`);
      }
      if (progress.state === 'failed') {
        throw new TransientError(`The snapshot of ${name} failed: ${progress.problem}`);
      }
      const { bytes, sha256, revision } = progress;
      const source = { kind: 'survivor' as const, key, sha256, bytes, revision };
      return {
        message: `${name} is saved: revision ${revision}, ${bytes} bytes, ${key}.`,
        recordsWhatExists: true,
        mutate: (stored) => {
          const { remediation } = stored;
          const recovery = remediation?.recovery;
          if (remediation === undefined || recovery?.key !== key || recovery.source) return undefined;
          const bumped = { ...source, bumpRevision: bumpFor(stored, revision), madeOf: ownState(stored) };
          return { ...stored, remediation: { ...remediation, recovery: { ...recovery, source: bumped } } };
        },
      };
    },

    async 'raise-quota'({ quotaMiB, reason }, { tenant: known, observation, now }) {
      const health = assessHealth(known, observation, now, zones);
      const ends = known.operation === undefined && health.phase === 'available';
      if (ends) await deps.store.noteSick(known.cell, known.tenantId, undefined);
      return {
        event: 'decided',
        message: `Quota raised from ${known.spec.quotaMiB} to ${quotaMiB} MiB: ${reason}. Members are replaced one by one to get it.`,
        mutate: (tenant) => {
          const { remediation } = tenant;
          if (tenant.spec.quotaMiB >= quotaMiB || remediation === undefined) return undefined;
          const raised = {
            ...tenant,
            spec: { ...tenant.spec, quotaMiB },
            generation: tenant.generation + 1,
            spaceTriedAt: now.toISOString(),
          };
          // What is under way brings it to the members when this remediation has ended.
          if (tenant.operation !== undefined) return raised;
          // The same operation id goes on as a resize: people see one story.
          const operation = { operationId: remediation.operationId, kind: 'resize' as const };
          return { ...afterRemediation(raised, health, now), operation };
        },
      };
    },

    async compact({ revision, kept }, context) {
      const target = voterOf(context);
      if (target === undefined) return notYet('no healthy voter can be asked');
      try {
        await nannies.compact(target, fenceOf(context.tenant), revision);
      } catch (error) {
        // Somebody (an apiserver, ourselves before a crash) compacted as far already.
        if (!/has been compacted/.test(String(error))) throw error;
      }
      return {
        message: `History compacted to revision ${revision}${kept > 0 ? `: ${kept} revisions stay` : ''}.`,
        mutate: changing((remediation) => ({ ...remediation, space: { kept, defragmented: [] } })),
      };
    },

    async defragment({ member: name }, { tenant }) {
      const target = targetOf(tenant, name);
      if (target === undefined) return notYet(`${name} is no voter any more`);
      await nannies.defragment(target, fenceOf(tenant));
      return {
        message: `Database of ${name} defragmented.`,
        mutate: changing(({ space, ...remediation }) => ({
          ...remediation,
          space: { ...space, defragmented: [...new Set([...(space?.defragmented ?? []), name])].sort() },
        })),
      };
    },

    async disarm(_step, context) {
      const target = voterOf(context);
      if (target === undefined) return notYet('no healthy voter can be asked');
      const { disarmed } = await nannies.disarm(target, fenceOf(context.tenant));
      // Told already: the members have yet to notice that it is off.
      if (disarmed === 0) return notYet('the alarm is off, but not every member shows it yet');
      return { message: `${disarmed} alarms taken off: writes go on.` };
    },

    async 'end-remediation'({ message, tried }, { tenant: known, observation, now }) {
      const health = assessHealth(known, observation, now, zones);
      if (tried === 'space') deps.log.error(message, { page: true, tenantId: known.tenantId });
      const well = health.phase === 'available';
      if (well) await deps.store.noteSick(known.cell, known.tenantId, undefined);
      return {
        message,
        mutate: (tenant) => {
          if (tenant.remediation?.operationId !== known.remediation?.operationId) return undefined;
          return withoutBackoff({
            ...afterRemediation(tenant, health, now),
            ...(tried === 'space' && { spaceTriedAt: now.toISOString() }),
            ...(tried === 'rebalance' && { rebalanceTriedAt: now.toISOString() }),
          });
        },
      };
    },
  };
}

/** The record of a tenant that is as well as a repair can make it. */
function afterRemediation(tenant: TenantRecord, health: Health, now: Date): TenantRecord {
  const { remediation: _remediation, unowned: _unowned, sickSince, ...rest } = tenant;
  const members = membersIn(tenant, 'voting').map((member): Member => {
    const seen = health.members[member.name];
    return seen === undefined ? member : withSickness(member, seen, now);
  });
  return {
    ...withMembers(rest, members),
    ...(health.phase !== 'available' && sickSince !== undefined && { sickSince }),
    status: statusFrom(tenant, health, now),
    highestRevision: Math.max(tenant.highestRevision, health.revision),
  };
}

const changing =
  (change: (remediation: Remediation) => Remediation | undefined) =>
  (tenant: TenantRecord): TenantRecord | undefined => {
    const remediation = tenant.remediation && change(tenant.remediation);
    return remediation && { ...tenant, remediation };
  };

function targetOf(tenant: TenantRecord, name: string): NannyTarget | undefined {
  const member = tenant.members[name];
  return member?.state === 'voting' ? { tenant, ip: member.ip } : undefined;
}

function voterOf({ tenant, observation, now }: PerformContext): NannyTarget | undefined {
  const view = quorumView(tenant, observation, now);
  const voter = view.leader ?? view.healthy[0];
  return voter && { tenant, ip: voter.ip };
}

const notYet = (reason: string): Outcome => ({ message: reason, notYet: reason });

const fenceOf = (tenant: TenantRecord): number => tenant.lease?.fence ?? tenant.fence;
