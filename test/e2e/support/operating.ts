import { expect } from 'vitest';
import type { Operation } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { TestCloud } from './cloud.ts';
import { timelineOf } from './timeline.ts';
import { until } from './until.ts';

/** What topics about operations on a running tenant have in common. */
export interface Operating {
  change(spec: Readonly<Record<string, unknown>>): Promise<Operation>;
  /** Commands of the CLI answer with the tenant and its operation. */
  command(...args: string[]): Promise<{ tenant: TenantDocument; operation: Operation }>;
  /** Until what it waits for is told on the operation. */
  waitsFor(operation: Operation, reason: RegExp): Promise<Operation>;
  /** The timeline, oldest first. */
  lines(): Promise<string[]>;
  /** As when the host is lost: the task ends at once, and the disk goes with it. */
  lose(member: string): Promise<void>;
}

export function operating(cloud: () => TestCloud, tenantId: string): Operating {
  return {
    async change(spec) {
      const request = { method: 'PATCH', path: `/v1/tenants/${tenantId}`, body: { spec } } as const;
      return (await cloud().api.call<{ operation: Operation }>(request)).operation;
    },
    async command(...args) {
      const { code, stdout, stderr } = await cloud().cli(...args, '--json');
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout);
    },
    waitsFor: ({ kind, operationId }, reason) =>
      until(`the ${kind} to wait: ${reason}`, async () => {
        const path = `/v1/tenants/${tenantId}/operations/${operationId}`;
        const now = await cloud().api.call<Operation>({ method: 'GET', path });
        return reason.test(now.message) && now;
      }),
    lines: async () => (await timelineOf(cloud(), tenantId)).map(({ message }) => message),
    async lose(member) {
      await cloud().cloud.hurt.act({ do: 'stop-task', member, hard: true });
    },
  };
}

/** Nobody who was launched has failed on the way to a voter; `lost` are those that we took ourselves. */
export function expectNoFailedNewcomer(lines: readonly string[], lost: readonly string[] = []): void {
  const failed = lines.filter(
    (line) =>
      /^\w+ leaves: (the task of|etcd of|\w+ has not joined|\w+ was not in sync)/.test(line) &&
      !lost.some((name) => line.startsWith(name)),
  );
  expect(failed).toEqual([]);
}

/** Everything that is said of the cluster itself. A backup of a young cluster has yet to be taken, and proven later. */
export const isWell = ({ conditions }: TenantDocument): boolean =>
  conditions.every(({ type, status }) => status === 'True' || type.startsWith('Backup'));

export const namesOf = ({ members }: TenantDocument): string[] => members.map(({ name }) => name).sort();

export function zonesOf({ members }: TenantDocument): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { zone } of members) counts[zone] = (counts[zone] ?? 0) + 1;
  return counts;
}

/** The repair of the member was begun and done, and only then the operation went on. Others may be unwell for a moment later on. */
export function expectHealedFirst(lines: readonly string[], victim: string, goesOn: RegExp): void {
  const last = (what: RegExp) => lines.findLastIndex((line) => what.test(line));
  const begun = last(new RegExp(`Remediation begins: .*${victim}|${victim}.* Remediation takes over`));
  const left = last(new RegExp(`^${victim} leaves`));
  expect(begun, 'the begin of the repair').toBeGreaterThan(-1);
  expect(left, `${victim} to leave after the begin of the repair`).toBeGreaterThan(begun);
  expect(last(goesOn), `${goesOn} after ${victim} has left`).toBeGreaterThan(left);
}
