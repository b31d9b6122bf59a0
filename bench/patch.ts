import type { Operation } from '../lambdas/core/model/operation.ts';
import { type Load, startLoad, startLoadOn } from '../test/e2e/support/load.ts';
import type { BenchContext } from './context.ts';
import { handCluster } from './hand/cluster.ts';
import { describeComparison, verdict } from './report.ts';

/** Design section 13: the longest time without an acknowledged write. */
const longestGapMs = 1_500;

/** All of three members to a newer patch release by surge, under 200 writes a second, on both sides. */
export async function benchPatch(context: BenchContext): Promise<string> {
  const { cloud, version, etcdDir, older, runs, say } = context;
  const [product, hand]: [number[], number[]] = [[], []];
  const seen = { product: nothing(), hand: nothing() };
  for (let run = 0; run < runs; run++) {
    const byHand = handCluster(older.etcdDir, `127.90.${200 + run}`);
    await byHand.boot();
    const handLoad = await startLoadOn(byHand.target());
    await handLoad.goesOn();
    hand.push(await byHand.patch(etcdDir));
    await note(seen.hand, handLoad);
    await byHand.stop();

    const tenantId = `patch-${run}`;
    await cloud.create(tenantId, { members: 3, version: older.version });
    const load = await startLoad(cloud, tenantId);
    await load.goesOn();
    const { operation } = await cloud.api.call<{ operation: Operation }>({
      method: 'PATCH',
      path: `/v1/tenants/${tenantId}`,
      body: { spec: { version } },
    });
    const end = await cloud.ended(operation, 300_000);
    product.push(Date.parse(end.endedAt!) - Date.parse(end.createdAt));
    await note(seen.product, load);
    await cloud.remove(tenantId);
    say(`run ${run + 1}: etcd-nanny ${product.at(-1)} ms, by hand ${hand.at(-1)} ms`);
  }
  return [
    describeComparison({ what: `patch ${older.version} to ${version} under 200 writes/s`, product, hand }),
    `  etcd-nanny  ${inWords(seen.product)}; budget: none failed, gap ${longestGapMs} ms: ${verdict(seen.product.gapMs, seen.product.failed + seen.product.lost > 0 ? -1 : longestGapMs)}`,
    `  by hand     ${inWords(seen.hand)}`,
  ].join('\n');
}

const nothing = () => ({ writes: 0, retried: 0, failed: 0, lost: 0, gapMs: 0 });
type Seen = ReturnType<typeof nothing>;

async function note(seen: Seen, load: Load): Promise<void> {
  const { acknowledged, retried, failed, lost, longestGapMs: gap } = await load.stop();
  seen.writes += acknowledged;
  seen.retried += retried;
  seen.failed += failed.length;
  seen.lost += lost.length;
  seen.gapMs = Math.max(seen.gapMs, gap);
}

const inWords = ({ writes, retried, failed, lost, gapMs }: Seen): string =>
  `${writes} writes, ${retried} retried, ${failed} failed, ${lost} lost, longest gap ${Math.round(gapMs)} ms`;
