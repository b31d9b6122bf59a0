import type { KeptDisk } from './model/disk.ts';
import type { TenantRecord } from './model/tenant.ts';
import type { Performers } from './perform.ts';
import type { Cell, Volumes } from './ports.ts';
import { tellFindings } from './remediation/kept-disks.ts';

export interface DiskDeps {
  readonly cell: Cell;
  readonly volumes: Pick<Volumes, 'list' | 'copy'>;
}

export interface RemoveDeps {
  readonly cell: Cell;
  readonly volumes: Pick<Volumes, 'remove'>;
}

export function removeDisksPerformers({ cell, volumes }: RemoveDeps): Performers {
  return {
    async 'remove-disks'({ volumeIds }) {
      for (const volumeId of volumeIds) await volumes.remove(cell, volumeId);
      return { message: tellRemoved(volumeIds) };
    },
  };
}

export const tellRemoved = (volumeIds: readonly string[]): string =>
  `${volumeIds.length === 1 ? 'A disk' : `${volumeIds.length} disks`} of former members removed: ${[...volumeIds].sort().join(', ')}.`;

/** What the lost members' disks hold: copied, noted, chosen. */
export function diskPerformers({ cell, volumes }: DiskDeps): Performers {
  return {
    async 'copy-disks'({ members }, { tenant }) {
      const { operationId, recovery } = tenant.remediation!;
      const wanted = (recovery?.disks ?? []).filter(({ member }) => members.includes(member));
      const there = await volumes.list(cell, tenant.tenantId);
      const copies = await Promise.all(
        wanted.map(async (disk): Promise<KeptDisk | undefined> => {
          const known = there.find(({ volumeId }) => volumeId === disk.volumeId);
          // An earlier recovery may have made a copy of a disk that has been written to since.
          const copy = known && (await volumes.copy(cell, known, operationId));
          if (copy === undefined) return { ...disk, found: { kind: 'useless', problem: 'it is gone' } };
          return copy.ready ? { ...disk, snapshotId: copy.snapshotId } : undefined;
        }),
      );
      const ready = copies.filter((copy) => copy !== undefined);
      if (ready.length < wanted.length) {
        const notYet = `${ready.length} of ${wanted.length} disks are copied`;
        return { message: notYet, notYet };
      }
      return {
        message: `Copied: the disks of ${members.join(', ')}. They themselves are not touched.`,
        recordsWhatExists: true,
        mutate: changingDisks((disks) =>
          disks.map((disk) => ready.find(({ volumeId }) => volumeId === disk.volumeId) ?? disk),
        ),
      };
    },

    async 'note-disk'({ member, finding }) {
      const noted = (disk: KeptDisk): KeptDisk =>
        finding.kind === 'alone' ? { ...disk, alone: true } : { ...disk, found: finding };
      return {
        event: 'decided',
        message: tell(member, finding),
        mutate: changingDisks((disks) =>
          disks.map((disk) => (disk.member === member && disk.found === undefined ? noted(disk) : disk)),
        ),
      };
    },

    async 'choose-disk'({ member }, { tenant }) {
      const { recovery } = tenant.remediation!;
      const chosen = recovery?.disks?.find((disk) => disk.member === member)?.found;
      const source = chosen?.kind === 'usable' ? chosen.source : undefined;
      return {
        event: 'decided',
        message: `Best source is the disk of ${member}: revision ${source?.revision}, ${source?.bytes} bytes (${tellFindings(recovery ?? {})}). Lost is at most what was acknowledged within the last replication round.`,
        mutate: (stored) => {
          const { remediation } = stored;
          const known = remediation?.recovery;
          if (source === undefined || known?.source !== undefined) return undefined;
          if (
            !known?.disks?.some(({ found }) => found?.kind === 'usable' && found.source?.key === source.key)
          )
            return undefined;
          return { ...stored, remediation: { ...remediation!, recovery: { ...known, source } } };
        },
      };
    },
  };
}

type Change = (disks: readonly KeptDisk[]) => KeptDisk[];

const changingDisks =
  (change: Change) =>
  (tenant: TenantRecord): TenantRecord | undefined => {
    const { remediation } = tenant;
    const { recovery } = remediation ?? {};
    if (remediation === undefined || recovery?.disks === undefined) return undefined;
    const disks = change(recovery.disks);
    return disks.every((disk, index) => disk === recovery.disks![index])
      ? undefined
      : { ...tenant, remediation: { ...remediation, recovery: { ...recovery, disks } } };
  };

type Finding = NonNullable<KeptDisk['found']> | { readonly kind: 'alone'; readonly problem: string };

function tell(member: string, finding: Finding): string {
  switch (finding.kind) {
    case 'usable': {
      const { revision, replayed, source } = finding;
      const more = replayed > 0 ? `, ${replayed} of them from the change stream` : '';
      return `The disk of ${member} reaches revision ${revision}${more}${source ? '' : '; another one reaches as far'}.`;
    }
    case 'alone':
      return `What was shipped behind the disk of ${member} cannot be used (${finding.problem}): it is looked at without.`;
    case 'useless':
      return `The disk of ${member} cannot be used: ${finding.problem}.`;
  }
}
