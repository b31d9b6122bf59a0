import { readCatalogue } from '../../lambdas/core/backup/catalogue.ts';
import { dutyOf } from '../../lambdas/core/duty.ts';
import { membersIn } from '../../lambdas/core/members.ts';
import type { OperationKind } from '../../lambdas/core/model/operation.ts';
import type { TenantRecord } from '../../lambdas/core/model/tenant.ts';
import { pinSource } from '../../lambdas/core/restore/pin.ts';
import { waitsForApproval } from '../../lambdas/core/tenant-document.ts';
import { versionChange, versionOf } from '../../lambdas/core/version-rules.ts';
import { versionGate } from '../../lambdas/patch/gate.ts';
import type { InMemoryTenantStore } from '../fakes/in-memory-tenant-store.ts';
import type { VirtualClock } from '../fakes/sim/virtual-clock.ts';
import type { Bucket } from './bucket.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Random } from './random.ts';
import type { Timed, Wish } from './script.ts';

export interface PeopleWorld {
  readonly clock: VirtualClock;
  readonly store: InMemoryTenantStore;
  readonly control: ControlPlane;
  readonly bucket: Bucket;
  readonly record: () => TenantRecord | undefined;
  readonly random: Random;
}

/** Who owns the tenant: wants it otherwise now and then, and agrees to a recovery when asked. As the API does it. */
export function people({ clock, store, control, bucket, record, random }: PeopleWorld) {
  const change = async (next: TenantRecord): Promise<void> => {
    // A message that is on its way already need not come before its time: the API sends one of its own.
    const { recheck: _recheck, ...rest } = next;
    try {
      await store.save({ ...rest, recordVersion: next.recordVersion + 1 }, next.recordVersion);
      await control.dispatcher.look(next.tenantId, dutyOf(next));
    } catch {
      // Somebody else wrote first; people try again later.
    }
  };

  const agree = (): void => {
    clock.at(random.int(60_000, 300_000), agree);
    const tenant = record();
    if (tenant?.status.phase !== 'recovering' || !waitsForApproval(tenant)) return;
    void change({ ...tenant, remediation: { ...tenant.remediation!, approved: true } });
  };
  clock.at(30_000, agree);

  const pause = (tenant: TenantRecord, forMs: number): Promise<void> => {
    const since = clock.now().toISOString();
    const resume = (): void => {
      const { paused, ...rest } = record() ?? {};
      if (paused === undefined) return;
      void change(rest as TenantRecord);
      // Until it has been taken: somebody else may have written at the same moment.
      clock.at(1_000, resume);
    };
    clock.at(forMs, resume);
    return change({ ...tenant, paused: { since, by: 'somebody', reason: 'to have a look' } });
  };

  /** One operation at a time, on a cluster that has formed. */
  const grant = async (wish: Timed<Wish>): Promise<void> => {
    const tenant = record();
    if (tenant?.incarnation.state !== 'formed' || tenant.status.phase === 'deleting') return;
    const at = clock.now().toISOString();
    const operationId = control.ids.ulid();
    const begin = (kind: OperationKind, next: Partial<TenantRecord>): Promise<void> =>
      change({ ...tenant, ...next, operation: { operationId, kind }, nextCheckAt: at });
    if (wish.kind === 'delete') {
      return begin('delete', { status: { phase: 'deleting', conditions: [], since: at } });
    }
    if (wish.kind === 'pause') return tenant.paused ? undefined : pause(tenant, wish.forS * 1_000);
    if (tenant.operation !== undefined) return;
    const generation = tenant.generation + 1;
    const { spec } = tenant;
    switch (wish.kind) {
      case 'scale':
        if (wish.members === spec.members) return;
        return begin('scale', { generation, spec: { ...spec, members: wish.members } });
      case 'resize':
        if (wish.size === spec.size) return;
        return begin('resize', { generation, spec: { ...spec, size: wish.size } });
      case 'patch': {
        if (wish.version === spec.version) return;
        const running = membersIn(tenant, 'voting').flatMap((member) => versionOf(member) ?? []);
        const { kind } = versionChange(running, wish.version, versionGate);
        // The API takes a step to another minor only while all is well.
        if (kind === 'refused' || (kind.startsWith('minor') && tenant.remediation)) return;
        return begin('patch', { generation, spec: { ...spec, version: wish.version } });
      }
      case 'restore': {
        const catalogue = await readCatalogue({ store, objects: bucket }, tenant.cell, tenant.tenantId);
        const found = pinSource({ kind: 'newest' }, catalogue, tenant.cell);
        if (found.kind === 'impossible') return;
        const { revision, expectedRevision } = found.pin;
        const to = expectedRevision - Math.floor((expectedRevision - revision) * wish.back);
        const target =
          wish.back === 0 ? ({ kind: 'newest' } as const) : ({ kind: 'revision', revision: to } as const);
        const pinned = pinSource(target, catalogue, tenant.cell);
        if (pinned.kind === 'impossible') return;
        const restore = {
          operationId,
          target,
          pin: pinned.pin,
          incarnation: tenant.incarnation.number,
          knownRevision: Math.max(tenant.highestRevision, pinned.furthest),
          requestedAt: at,
        };
        return begin('restore', { restore });
      }
      case 'replace': {
        const voting = membersIn(tenant, 'voting');
        const member = voting[wish.victim % Math.max(1, voting.length)];
        if (member === undefined) return;
        return begin('replace', { generation, replaceRequests: { [member.name]: 'somebody asked' } });
      }
    }
  };
  return { grant };
}
