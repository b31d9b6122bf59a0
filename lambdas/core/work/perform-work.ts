import { withBackoff, withoutBackoff } from '../backoff.ts';
import { TransientError } from '../errors.ts';
import { membersOf } from '../members.ts';
import type { TenantRecord, Work } from '../model/tenant.ts';
import type { Outcome, PerformContext, Performers } from '../perform.ts';
import type { Cell, Ids, LaunchRequest, TaskRuntime } from '../ports.ts';

export interface WorkDeps {
  readonly cell: Cell;
  readonly runtime: Pick<TaskRuntime, 'launch' | 'stop'>;
  readonly ids: Pick<Ids, 'memberName' | 'ulid'>;
}

/** Fargate gives a task no less. */
const leastEphemeralGiB = 21;

/** The steps of a task that is no member: order, launch, try again, end. */
export function workPerformers(deps: WorkDeps): Performers {
  const { cell } = deps;
  return {
    async 'order-work'(step, { now }) {
      const { purpose, operationId, zone, snapshotId, outputPrefix, outputAbove: above } = step;
      const [name, orderId] = [deps.ids.memberName(), deps.ids.ulid()];
      const output =
        outputPrefix === undefined
          ? {}
          : { output: { key: outputKey(outputPrefix, orderId), ...(above !== undefined && { above }) } };
      const work: Work = {
        name,
        purpose,
        ...(operationId !== undefined && { operationId }),
        attempt: 1,
        order: { ...step.order, orderId, bucket: cell.backupBucket, ...output },
        zone,
        requestedAt: now.toISOString(),
        ...(snapshotId !== undefined && { snapshotId }),
      };
      return {
        event: 'decided',
        message: `Worker ${name} wanted in ${zone}: ${tellSource(work)}.`,
        mutate: (tenant) => (tenant.work === undefined ? { ...tenant, work } : undefined),
      };
    },

    async 'launch-work'(_step, { tenant, now }) {
      const { work } = tenant;
      if (work === undefined) return nothingToDo;
      const { taskArn, zone } = await launchSomewhere(tenant, work);
      return {
        message: `Worker ${work.name} launched in ${zone}.`,
        recordsWhatExists: true,
        mutate: changing(work.name, (stored) =>
          stored.taskArn === undefined
            ? { ...stored, zone, taskArn, launchedAt: now.toISOString() }
            : undefined,
        ),
      };
    },

    async 'retry-work'({ name, reason }, context) {
      const { tenant, now } = context;
      if (tenant.work?.name !== name) return nothingToDo;
      const { attempt } = tenant.work;
      await stop(context, reason);
      const [next, orderId] = [deps.ids.memberName(), deps.ids.ulid()];
      return {
        event: 'decided',
        message: `Worker ${name} did not make it (${reason}); ${next} tries again.`,
        mutate: (stored) => {
          const changed = changing(name, (work) => again(work, next, orderId, now))(stored);
          // A launch that went well has cleared the back-off: a task that starts and falls must not be free of it.
          return changed && withBackoff(changed, reason, now, attempt);
        },
      };
    },

    async 'end-work'({ name, reason }, context) {
      if (context.tenant.work?.name !== name) return nothingToDo;
      await stop(context, reason);
      return {
        message: `Worker ${name} ends: ${reason}.`,
        mutate: (stored) => {
          if (stored.work?.name !== name) return undefined;
          const { work: _work, ...rest } = stored;
          return withoutBackoff(rest);
        },
      };
    },
  };

  /** In the zone that it was meant for; in another one when AWS has no room there: a worker belongs to no zone. */
  async function launchSomewhere(
    tenant: TenantRecord,
    work: Work,
  ): Promise<{ taskArn: string; zone: string }> {
    const others = cell.subnets.map((subnet) => subnet.zone).filter((zone) => zone !== work.zone);
    let refusal: unknown;
    for (const zone of [work.zone, ...others]) {
      try {
        return { ...(await deps.runtime.launch(launchRequest(tenant, work, zone))), zone };
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        refusal ??= error;
      }
    }
    throw refusal;
  }

  function launchRequest(tenant: TenantRecord, work: Work, zone: string): LaunchRequest {
    const { tenantId, spec } = tenant;
    const { name: memberName, snapshotId } = work;
    const base = { cell, tenantId, memberName, zone, size: spec.size };
    // A disk of its own costs nothing and is gone with the task; only a copy of a kept one has to be a volume.
    return snapshotId === undefined
      ? {
          ...base,
          volume: 'ephemeral',
          storageGiB: Math.max(leastEphemeralGiB, spec.storageGiB),
          work: {},
        }
      : { ...base, volume: 'ebs', storageGiB: largestDisk(tenant), work: { snapshotId } };
  }

  async function stop({ tenant, observation }: PerformContext, reason: string): Promise<void> {
    const { name, taskArn } = tenant.work!;
    // A launch whose answer nobody lived to save is known by its name, where tasks are listed.
    const theirs = Object.values(observation.tasks).filter((task) => task.memberName === name);
    const arns = new Set([
      ...(taskArn === undefined ? [] : [taskArn]),
      ...theirs.map((task) => task.taskArn),
    ]);
    await Promise.all([...arns].map((arn) => deps.runtime.stop(cell, arn, reason.slice(0, 200))));
  }
}

/** A volume must not be smaller than the one whose copy it begins as. */
const largestDisk = (tenant: TenantRecord): number =>
  Math.max(tenant.spec.storageGiB, ...membersOf(tenant).map(({ made }) => made?.storageGiB ?? 0));

const outputKey = (prefix: string, orderId: string): string => `${prefix}${orderId}.snap`;

/** Another name, so that ECS starts another task; another key, because nothing is written over. */
function again(work: Work, name: string, orderId: string, now: Date): Work {
  const { purpose, operationId, order, zone, snapshotId } = work;
  const { output } = order;
  return {
    name,
    purpose,
    ...(operationId !== undefined && { operationId }),
    attempt: work.attempt + 1,
    order: {
      ...order,
      orderId,
      ...(output && { output: { ...output, key: output.key.replace(order.orderId, orderId) } }),
    },
    zone,
    requestedAt: now.toISOString(),
    ...(snapshotId !== undefined && { snapshotId }),
  };
}

const changing =
  (name: string, change: (work: Work) => Work | undefined) =>
  (tenant: TenantRecord): TenantRecord | undefined => {
    const work = tenant.work?.name === name ? change(tenant.work) : undefined;
    return work && withoutBackoff({ ...tenant, work });
  };

const tellSource = ({ purpose, order: { source, until } }: Work): string => {
  const what = source.kind === 'disk' ? 'the disk of a former member' : `backup ${source.key}`;
  const end = until?.revision ?? until?.at;
  return `${purpose} of ${what}${end === undefined ? '' : ` up to ${end}`}`;
};

const nothingToDo: Outcome = { message: 'the work is gone', notYet: 'the work is gone' };
