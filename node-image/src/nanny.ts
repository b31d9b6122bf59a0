import type { Log } from '../../lambdas/core/ports.ts';
import { decideBoot } from './boot.ts';
import { createLeafKeys } from './csr.ts';
import type { NannyEnv } from './env.ts';
import type { JoinClient } from './join-client.ts';
import { type FinalAnswer, joinUntilAnswered } from './join-loop.ts';
import { sentence } from './log.ts';
import type { RunningMember } from './member.ts';
import { MemberDisk, type SavedState } from './member-disk.ts';
import { endOrphan } from './orphan.ts';
import { type Identity, PkiStore } from './pki-store.ts';
import { generation } from './renewal.ts';
import type { S3Client } from './s3/client.ts';
import type { Timing } from './timing.ts';

export interface NannyOptions {
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
  readonly onMember: (member: RunningMember) => void;
}

/**
 * What only a member that runs needs is half of all there is to load: it is read while the control plane thinks about
 * the join, not before.
 */
const loadMember = () => import('./member.ts');

type Boot = Extract<FinalAnswer, { answer: 'boot' }>;

/**
 * The whole life of one member on one disk. Returns when the task was told to stop, or the control plane said `leave`.
 * @throws ControlPlaneError when it cannot work with this disk or image
 */
export async function runNanny(options: NannyOptions): Promise<void> {
  const { env, client, log, timing, stop } = options;
  const who = { tenantId: env.tenantId, memberName: env.memberName };
  const disk = await MemberDisk.open(env.dataDir, who);
  const pki = new PkiStore(disk.root);
  const orphanEnded = endOrphan(disk.etcdDirectory, log, timing);
  const join = async (signal: AbortSignal) => {
    const leafKeys = createLeafKeys(who.memberName);
    const hasData = disk.hasData();
    const onAsked = () => void loadMember();
    const answer = await joinUntilAnswered({ who, client, leafKeys, hasData, log, timing, onAsked }, signal);
    return { answer, leafKeys };
  };

  // With data, certificates and nanny.json on the disk the member starts at once: a control plane that is down must
  // not keep a cluster down.
  let identity =
    disk.saved && (disk.hasData() || disk.saved.ended) ? await loadIdentity(pki, log) : undefined;
  const resumed = identity !== undefined;
  if (identity === undefined) {
    const { answer, leafKeys } = await join(stop);
    // Also by who leaves: nobody else would end it.
    await orphanEnded;
    if (answer === undefined) return;
    if (answer.answer === 'leave') return log.info(`Leaving: ${answer.reason}`);
    if (answer.answer === 'work')
      return log.error('Leaving: this task was launched as a member and told to work');
    identity = await pki.install(answer.certificates, leafKeys.keys, generation(timing));
    await saveBoot(disk, who, answer, log);
  } else {
    log.info('The disk has this member: starting without asking the control plane', { mode: 'resume' });
  }

  const leaving = Promise.withResolvers<void>();
  const onLeave = (reason: string) => {
    log.info(`Leaving: ${reason}`);
    leaving.resolve();
  };
  const { RunningMember } = await loadMember();
  await orphanEnded;
  const member = new RunningMember({ ...options, etcdDir: env.etcdDir, who, disk, pki, identity, onLeave });
  options.onMember(member);
  await member.start();

  const background = new AbortController();
  const refresh = async () => {
    const { answer, leafKeys } = await join(background.signal);
    if (answer === undefined) return;
    if (answer.answer === 'leave') return onLeave(answer.reason);
    if (answer.answer === 'work') return log.error('This member was told to work: keeping what runs');
    member.useIdentity(await refreshed(disk, pki, answer, leafKeys.keys, options));
  };
  if (resumed) {
    refresh().catch((error) => log.error(`What join answered could not be taken over: ${sentence(error)}`));
  }
  const stopped = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([leaving.promise, stopped, member.failure()]);
  background.abort();
  await member.stop();
}

/** Certificates that cannot be read are no reason to give up: join issues others. */
async function loadIdentity(pki: PkiStore, log: Log): Promise<Identity | undefined> {
  try {
    return await pki.load();
  } catch (error) {
    log.warn(`The certificates on the disk cannot be used, asking for new ones: ${sentence(error)}`);
    return undefined;
  }
}

async function saveBoot(
  disk: MemberDisk,
  who: { tenantId: string; memberName: string },
  answer: Boot,
  log: Log,
): Promise<void> {
  const decision = decideBoot(answer, { hasData: disk.hasData(), saved: disk.saved });
  if ('refuse' in decision) log.error(`Not starting etcd: ${decision.refuse}`);
  else log.info('Booting', { mode: decision.start, incarnation: answer.incarnation });
  await disk.save((saved) => ({
    schemaVersion: 1,
    ...who,
    incarnation: 'refuse' in decision ? (saved?.incarnation ?? answer.incarnation) : answer.incarnation,
    mode: 'refuse' in decision ? 'resume' : decision.start,
    ...('start' in decision && decision.start === 'restore' && { restore: answer.restore }),
    etcdVersion: answer.etcdVersion,
    etcdArguments: answer.etcdArguments,
    fence: saved?.fence ?? 0,
    ...('refuse' in decision && {
      ended: saved?.ended ?? { state: 'data-lost' as const, reason: decision.refuse },
    }),
  }));
}

/** What a running member takes from a join answer: certificates at once, arguments and version at its next start. */
async function refreshed(
  disk: MemberDisk,
  pki: PkiStore,
  answer: Boot,
  keys: Parameters<PkiStore['install']>[1],
  { log, timing }: Pick<NannyOptions, 'log' | 'timing'>,
): Promise<Identity> {
  const saved: SavedState | undefined = disk.saved;
  if (saved && saved.incarnation === answer.incarnation) {
    await disk.update({ etcdVersion: answer.etcdVersion, etcdArguments: answer.etcdArguments });
  } else {
    log.error(
      `The control plane speaks of incarnation ${answer.incarnation}, this disk is of ${saved?.incarnation}: keeping what runs`,
    );
  }
  return await pki.install(answer.certificates, keys, generation(timing));
}
