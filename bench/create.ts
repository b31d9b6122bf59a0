import type { Operation } from '../lambdas/core/model/operation.ts';
import { etcd3Client } from '../test/e2e/support/clients.ts';
import type { BenchContext } from './context.ts';
import { handCluster } from './hand/cluster.ts';
import { describeComparison } from './report.ts';

/** As often as cluster.sh asks etcd again. */
const askEachMs = 50;

/** API call → first linearizable write through the issued certificate, against three TLS members booted by hand. */
export async function benchCreate({ cloud, etcdDir, version, runs, say }: BenchContext): Promise<string> {
  const [product, hand]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    const byHand = handCluster(etcdDir, `127.90.${run}`);
    hand.push(await byHand.boot());
    await byHand.stop();

    const tenantId = `create-${run}`;
    const from = performance.now();
    const { operation } = await cloud.api.call<{ operation: Operation }>({
      method: 'PUT',
      path: `/v1/tenants/${tenantId}`,
      body: { spec: { members: 3, version } },
    });
    await cloud.ended(operation, { everyMs: askEachMs });
    const client = await etcd3Client(cloud, tenantId);
    await client.put('hello').value('world');
    product.push(performance.now() - from);
    client.close();
    await cloud.remove(tenantId);
    say(`run ${run + 1}: etcd-nanny ${Math.round(product.at(-1)!)} ms, by hand ${hand.at(-1)} ms`);
  }
  return describeComparison({ what: 'create', product, hand, budget: 2 });
}
