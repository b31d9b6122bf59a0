import type { Operation, TimelineEvent } from '../../../lambdas/core/model/operation.ts';
import type { TenantDocument } from '../../../lambdas/core/tenant-document.ts';
import type { TestCloud } from './cloud.ts';
import { type EtcdTruth, etcdWitness, isWhole } from './etcd-truth.ts';
import type { Lap, Load } from './load.ts';
import { cellsOf, type RecoveryRow, rowHeadings, saveRow, thisMachine } from './recovery-row.ts';
import type { Scenario, Topic } from './scenarios.ts';
import { timelineOf } from './timeline.ts';
import { until } from './until.ts';

export interface Fault<T extends Topic> {
  readonly load: Load;
  readonly scenario: Scenario<T>;
  /** Does it. The clock starts when it is called. */
  hurt(): Promise<unknown>;
  /** The line of the timeline that is the detection. @default the first one after the fault */
  readonly detects?: (event: TimelineEvent) => boolean;
  /** What etcd has to say when all is well, besides: as many voters as the spec wants, each serving. */
  readonly healthy?: (truth: EtcdTruth) => boolean;
  /** Settings of the spec that the times hang on, for the table. */
  readonly settings?: string;
  readonly deadlineMs?: number;
}

export interface Measured {
  readonly detectionMs: number;
  readonly repairMs: number;
  readonly lap: Lap;
  readonly truth: EtcdTruth;
  readonly tenant: TenantDocument;
}

/** An operation that somebody asks for. */
export interface Asked<T extends Topic> {
  readonly load: Load;
  readonly scenario: Scenario<T>;
  /** The clock starts when it is called. */
  ask(): Promise<Operation>;
  /** Before the end is waited for. */
  readonly meanwhile?: (operation: Operation) => Promise<unknown>;
  readonly settings?: string;
  readonly deadlineMs?: number;
}

export interface RecoveryTimes<T extends Topic> {
  /** Waits until the operation has succeeded, and checks it against what etcd says. Detection: until it begins. */
  operate(asked: Asked<T>): Promise<{ operation: Operation; lap: Lap; tenant: TenantDocument }>;
  /**
   * Hurts a tenant that is well and waits until it is again: first as etcd's own member list and its members' answers
   * say (that ends the measurement), then as the tenant document says.
   */
  measure(fault: Fault<T>): Promise<Measured>;
  /** Ends the loads, counts what was lost, keeps the rows for `npm run recovery-times` and prints them. */
  finish(): Promise<void>;
}

type Row = Omit<RecoveryRow, 'lost'> & { readonly load: Load; readonly nextKey: number };

/** `at`: ms since the epoch. */
interface Timed {
  readonly at: number;
  readonly lap: Lap;
}

export function recoveryTimes<T extends Topic>(cloud: TestCloud, topic: T): RecoveryTimes<T> {
  const rows: Row[] = [];
  const rowOf = ({
    lap,
    at,
    ...rest
  }: Omit<Row, keyof Lap | 'writes' | 'at' | 'machine' | 'topic'> & Timed): Row => {
    const { longestGapMs, failed, acknowledged: writes, nextKey } = lap;
    const seen = { longestGapMs, failed, writes, nextKey };
    return { topic, ...rest, ...seen, at: new Date(at).toISOString(), machine: thisMachine() };
  };
  return {
    async operate({ load, scenario, ask, meanwhile, settings = '', deadlineMs = 180_000 }) {
      await load.lap();
      const askedAt = Date.now();
      const asked = await ask();
      await meanwhile?.(asked);
      const operation = await cloud.ended(asked, deadlineMs);
      const lap = await load.lap();
      const tenant = await calm(cloud, load.tenantId);
      const witness = await etcdWitness(cloud, load.tenantId);
      const truth = await witness.look().finally(() => witness.close());
      if (!isWhole(truth, tenant.spec.members)) {
        throw new Error(`It is over, but etcd says: ${JSON.stringify(truth)}`);
      }
      // What it waited for before (a pause, its window) is none of this.
      const first = operation.steps.find(({ startedAt }) => Date.parse(startedAt) >= askedAt);
      const begun = Date.parse(first?.startedAt ?? operation.updatedAt);
      const repairMs = Date.parse(operation.endedAt ?? operation.updatedAt) - begun;
      rows.push(
        rowOf({ load, scenario, settings, at: askedAt, detectionMs: begun - askedAt, repairMs, lap }),
      );
      return { operation, lap, tenant };
    },
    async measure({ load, scenario, hurt, detects = () => true, healthy = () => true, ...rest }) {
      const { tenantId } = load;
      const { deadlineMs = 120_000, settings = '' } = rest;
      const wanted = (await cloud.tenant(tenantId)).spec.members;
      const witness = await etcdWitness(cloud, tenantId);
      try {
        // A repair may be over before the client has retried: one retry is no promise for two faults at once.
        await load.settles();
        await load.lap();
        const hurtAt = Date.now();
        await hurt();
        const truth = await until(
          `etcd of ${tenantId} to be whole again after: ${scenario}`,
          async () => {
            const seen = await witness.look();
            return isWhole(seen, wanted) && healthy(seen) && seen;
          },
          { deadlineMs, everyMs: 100 },
        );
        const wholeAt = Date.now();
        const lap = await load.lap();
        const detected = await until(`a line about: ${scenario}`, async () =>
          (await timelineOf(cloud, tenantId)).find(
            (event) => Date.parse(event.at) >= hurtAt && detects(event),
          ),
        );
        const tenant = await calm(cloud, tenantId);
        const detectionMs = Date.parse(detected.at) - hurtAt;
        // Repaired at once, told a moment later: then the repair took no time of its own.
        const repairMs = Math.max(0, wholeAt - hurtAt - detectionMs);
        rows.push(rowOf({ load, scenario, settings, at: hurtAt, detectionMs, repairMs, lap }));
        return { detectionMs, repairMs, lap, truth, tenant };
      } finally {
        witness.close();
      }
    },
    async finish() {
      const done: RecoveryRow[] = [];
      for (const load of new Set(rows.map((row) => row.load))) {
        const { lost } = await load.stop();
        // What was acknowledged before a fault can be lost by it: each row answers for all since the row before.
        const mine = rows.filter((row) => row.load === load);
        mine.forEach(({ load: _load, nextKey, ...row }, index) => {
          const from = mine[index - 1]?.nextKey ?? 0;
          const to = index === mine.length - 1 ? Number.POSITIVE_INFINITY : nextKey;
          done.push({ ...row, lost: lost.filter((number) => number >= from && number < to).length });
        });
      }
      for (const row of done) saveRow(row);
      console.log([rowHeadings, ...done.map(cellsOf)].map((cells) => cells.join(' | ')).join('\n'));
    },
  };
}

/** Nothing is under way, and the tenant says that all is well. */
export const calm = (cloud: TestCloud, tenantId: string, deadlineMs = 90_000): Promise<TenantDocument> =>
  until(
    `${tenantId} to be available with nothing under way`,
    async () => {
      const tenant = await cloud.tenant(tenantId);
      const still = tenant.remediation === null && tenant.operation === null;
      return (
        tenant.phase === 'available' && still && tenant.members.every(({ healthy }) => healthy) && tenant
      );
    },
    { deadlineMs },
  );
