import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../lambdas/core/ports.ts';
import { createLeafKeys } from '../csr.ts';
import type { NannyEnv } from '../env.ts';
import { makePrivateDirectory } from '../files.ts';
import type { JoinClient } from '../join-client.ts';
import { joinUntilAnswered } from '../join-loop.ts';
import { PkiStore, tlsOf } from '../pki-store.ts';
import { generation } from '../renewal.ts';
import type { S3Client } from '../s3/client.ts';
import type { Timing } from '../timing.ts';
import { failureOf } from './failure.ts';
import { performWork } from './perform.ts';
import { WorkReporting } from './reporting.ts';

export interface WorkerOptions {
  readonly env: Pick<NannyEnv, 'tenantId' | 'memberName' | 'dataDir' | 'etcdDir'>;
  readonly ip: string;
  readonly client: JoinClient;
  readonly s3: S3Client;
  readonly etcdEnvironment: Readonly<Record<string, string | undefined>>;
  readonly writeLog: (line: string) => void;
  readonly log: Log;
  readonly timing: Timing;
  /** Aborted when the task is to stop. */
  readonly stop: AbortSignal;
  /** Hands out what must be killed if the process ends out of order. */
  readonly onScratch: (scratch: { kill(): void }) => void;
}

/**
 * The whole life of a worker: a task beside the cluster, with a scratch etcd and no member. Returns when it may leave. It
 * keeps nothing over a restart but does the same work again: its folder is its own, whatever else is on the disk.
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const { env, client, log, timing, stop } = options;
  const { dataDir, memberName } = env;
  const who = { tenantId: env.tenantId, memberName };
  const root = join(dataDir, memberName);
  const workDirectory = join(root, 'work');
  await makePrivateDirectory(root);
  const leafKeys = createLeafKeys(memberName);
  const answer = await joinUntilAnswered({ who, client, leafKeys, hasData: false, log, timing }, stop);
  if (answer === undefined) return;
  if (answer.answer === 'leave') return log.info(`Leaving: ${answer.reason}`);
  if (answer.answer === 'boot') {
    return log.error('Leaving: this task was launched to work and told to be a member');
  }
  const { order } = answer;
  const pki = new PkiStore(root);
  const identity = await pki.install(answer.certificates, leafKeys.keys, generation(timing));
  log.info('Working', { order: order.orderId, source: order.source.kind, output: order.output?.key });

  const reporting = new WorkReporting({ who, orderId: order.orderId, client, log, timing });
  const unwanted = new AbortController();
  const telling = new AbortController();
  const signal = AbortSignal.any([stop, unwanted.signal]);
  const told = reporting.run(AbortSignal.any([stop, telling.signal])).then((leave) => {
    if (!leave) return;
    log.info('Leaving: the work is not wanted any more');
    unwanted.abort(new Error('the work is not wanted any more'));
  });
  const end = await performWork(
    order,
    {
      ...options,
      environment: options.etcdEnvironment,
      etcdDir: env.etcdDir,
      dataDir,
      memberName,
      workDirectory,
      pkiDirectory: pki.directory,
      tls: tlsOf(identity, 'client'),
      onProgress: (progress) => reporting.offer(progress),
    },
    signal,
  ).then(
    (result) => ({ state: 'done', result }) as const,
    (error) => failureOf(error),
  );
  telling.abort();
  await told;
  if (!signal.aborted) {
    if (end.state === 'failed') log.error(`The work failed: ${end.problem}`, { ...end });
    await reporting.finish(end, signal);
  }
  await rm(workDirectory, { recursive: true, force: true });
}
