import type { NannyStatus } from '../../../lambdas/core/wire/admin.ts';

/**
 * Alarms as Status.errors shows them (`memberID:123 alarm:NOSPACE `; ids decimal, left out when 0).
 *
 * Not read with Maintenance.Alarm(GET): etcd sends even that through Raft, so asking each second would write to the
 * log of an idle cluster, and would hang without quorum.
 */
export function alarmsOf(errors: readonly string[]): NannyStatus['alarms'] {
  return errors.flatMap((text) => {
    const alarm = /\balarm:\s*(NOSPACE|CORRUPT)\b/.exec(text)?.[1] as 'NOSPACE' | 'CORRUPT' | undefined;
    if (alarm === undefined) return [];
    const decimal = /\bmemberID:\s*(\d+)/.exec(text)?.[1] ?? '0';
    return [{ etcdId: BigInt(decimal).toString(16), alarm }];
  });
}
