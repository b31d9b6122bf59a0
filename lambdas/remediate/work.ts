import { readCatalogue } from '../core/backup/catalogue.ts';
import { membersIn } from '../core/members.ts';
import type { TenantRecord } from '../core/model/tenant.ts';
import { createObserver, type Observer } from '../core/observe.ts';
import { type OperationDeps, operationAwakeMs, operationHands } from '../core/operation-work.ts';
import { bootstrapPerformers } from '../core/perform-bootstrap.ts';
import { diskPerformers } from '../core/perform-disks.ts';
import { incarnationPerformers } from '../core/perform-incarnation.ts';
import type { BackupObjects, NannyClient, Volumes } from '../core/ports.ts';
import type { Work } from '../core/reconcile.ts';
import { isFromStore } from '../core/remediation/from-store.ts';
import { survivorsOf } from '../core/remediation/survivor.ts';
import { quorumLoss } from '../core/sickness.ts';
import type { Observation } from '../core/step.ts';
import type { HashKvAnswer } from '../core/wire/admin.ts';
import { workPerformers } from '../core/work/perform-work.ts';
import { remediatePerformers } from './perform.ts';
import { planRemediate } from './plan.ts';

export type RemediateWorkDeps = OperationDeps & {
  readonly nannies: NannyClient;
  readonly objects: Pick<BackupObjects, 'list'>;
  readonly volumes: Pick<Volumes, 'list' | 'copy'>;
};

/** What remediate brings to the reconcile loop. */
export function remediateWork(deps: RemediateWorkDeps): Work {
  const zones = deps.cell.subnets.map((subnet) => subnet.zone);
  return {
    duty: 'remediate',
    awakeMs: operationAwakeMs,
    plan: (tenant, observation, now) =>
      planRemediate(tenant, observation, now, { zones, taskDefinitions: deps.cell.taskDefinitions }),
    observer: () => withRestorable(deps, withHashes(deps.nannies, remediateObserver(deps))),
    performers: {
      ...bootstrapPerformers(deps),
      ...operationHands(deps).performers,
      ...workPerformers(deps),
      ...incarnationPerformers(deps),
      ...diskPerformers(deps),
      ...remediatePerformers(deps),
    },
  };
}

function remediateObserver({ cell, clock, runtime, nannies, names }: RemediateWorkDeps): Observer {
  return createObserver(
    { cell, clock, runtime, nannies, names },
    {
      // A fence has to know of every task, also of those that no record names.
      listTasks: (tenant) =>
        tenant.remediation?.recovery?.source !== undefined ||
        tenant.unowned !== undefined ||
        membersIn(tenant, 'leaving').length > 0,
      askNannies: (tenant) => tenant.incarnation.state !== 'gathering',
    },
  );
}

/** While quorum is lost and nobody is left that could give a snapshot: what disks and backups offer. */
function withRestorable(deps: RemediateWorkDeps, observer: Observer): Observer {
  const { clock, objects, store, volumes } = deps;
  return {
    forget: observer.forget,
    async observe(tenant) {
      const observation = await observer.observe(tenant);
      const wanted =
        tenant.incarnation.state === 'formed' &&
        !isFromStore(tenant.remediation?.recovery) &&
        quorumLoss(tenant, observation, clock.now()) !== undefined &&
        survivorsOf(tenant, observation).length === 0;
      if (!wanted) return observation;
      const { cell, tenantId } = tenant;
      const [catalogue, disks] = await Promise.all([
        readCatalogue({ store, objects }, cell, tenantId),
        volumes.list(deps.cell, tenantId),
      ]);
      return { ...observation, catalogue: { ...catalogue, first: tenant.firstIncarnation }, disks };
    },
  };
}

/** While a CORRUPT alarm is on: HashKV of every voter at the lowest revision that all of them have. */
function withHashes(nannies: NannyClient, observer: Observer): Observer {
  return {
    forget: observer.forget,
    async observe(tenant) {
      const observation = await observer.observe(tenant);
      const hashes = isCorrupt(observation) ? await hashesOf(nannies, tenant, observation) : undefined;
      return hashes === undefined ? observation : { ...observation, hashes };
    },
  };
}

const isCorrupt = ({ nannies }: Observation): boolean =>
  Object.values(nannies).some(
    (nanny) => nanny.reachable && nanny.status.alarms.some(({ alarm }) => alarm === 'CORRUPT'),
  );

async function hashesOf(
  nannies: NannyClient,
  tenant: TenantRecord,
  observation: Observation,
): Promise<Record<string, HashKvAnswer> | undefined> {
  const voters = membersIn(tenant, 'voting').flatMap((member) => {
    const nanny = observation.nannies[member.name];
    const self = nanny?.reachable ? nanny.status.self : undefined;
    return self === undefined ? [] : [{ member, revision: self.revision }];
  });
  if (voters.length === 0) return undefined;
  const revision = Math.min(...voters.map((voter) => voter.revision));
  const answers = await Promise.all(
    voters.map(async ({ member }): Promise<[string, HashKvAnswer][]> => {
      try {
        return [[member.name, await nannies.hashKv({ tenant, ip: member.ip }, revision)]];
      } catch {
        // Compacted meanwhile, or gone: asked again with the next look.
        return [];
      }
    }),
  );
  return Object.fromEntries(answers.flat());
}
