import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../lambdas/core/model/operation.ts';
import { etcdWitness, isWhole } from '../test/e2e/support/etcd-truth.ts';
import { until } from '../test/e2e/support/until.ts';
import type { BenchContext } from './context.ts';
import { handCluster } from './hand/cluster.ts';
import { describeComparison, median, verdict } from './report.ts';

/** etcd refuses a change of members within 5 s of the one before (HealthInterval): on both sides nobody waits for that. */
const restMs = 6_000;

/**
 * A member's task and disk are gone → three healthy voters again, as etcd itself says on both sides; the same etcd steps
 * by hand know of the loss at once.
 */
export async function benchReplace(context: BenchContext): Promise<string> {
  const { cloud, etcdDir, version, runs, say } = context;
  const took = {
    follower: { product: [] as number[], hand: [] as number[] },
    leader: { product: [] as number[], hand: [] as number[] },
  };
  const detection: number[] = [];
  const byHand = handCluster(etcdDir, '127.90.100');
  await byHand.boot();
  await cloud.create('replace', { members: 3, version });
  // The API would be asked for its record twenty times a second by the machine that is to repair: not so by hand.
  const witness = await etcdWitness(cloud, 'replace');
  for (let run = 0; run < runs; run++) {
    await sleep(restMs);
    // A lost leader costs an election: on both sides, or on neither.
    const role = run % 2 === 0 ? 'follower' : 'leader';
    const hand = await byHand.replace(await byHand.lose(role));

    const { members } = await until('the tenant to be well', async () => {
      const tenant = await cloud.tenant('replace');
      return tenant.phase === 'available' && tenant.operation === null && tenant;
    });
    await sleep(restMs);
    const victim = members.find(({ isLeader }) => isLeader === (role === 'leader'))!.name;
    const from = Date.now();
    await cloud.cloud.hurt.act({ do: 'stop-task', member: victim, hard: true });
    await until(
      'three healthy voters without it',
      async () => {
        const truth = await witness.look();
        return isWhole(truth, 3) && truth.members.every(({ name }) => name !== victim);
      },
      { deadlineMs: 180_000, everyMs: 50 },
    );
    const whole = Date.now() - from;
    const detected = Date.parse((await newestRepair(context)).createdAt) - from;
    detection.push(detected);
    took[role].product.push(whole - detected);
    took[role].hand.push(hand);
    say(
      `run ${run + 1}, a ${role}: detection ${detected} ms, then ${whole - detected} ms; by hand ${hand} ms`,
    );
  }
  witness.close();
  await byHand.stop();
  const detected = median(detection);
  return [
    ...Object.entries(took)
      .filter(([, { hand }]) => hand.length > 0)
      .map(([role, times]) =>
        describeComparison({ what: `replace a ${role}, without detection`, ...times, budget: 2 }),
      ),
    `  detection   ${Math.round(detected)} ms, budget 2,000 ms: ${verdict(detected, 2_000)}`,
  ].join('\n');
}

async function newestRepair({ cloud }: BenchContext): Promise<Operation> {
  const { items } = await cloud.api.call<{ items: Operation[] }>({
    method: 'GET',
    path: '/v1/tenants/replace/operations',
  });
  const repairs = items.filter(({ kind }) => kind === 'remediate');
  const [newest] = repairs.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
  if (newest === undefined) throw new Error('No repair is on record.');
  return newest;
}
