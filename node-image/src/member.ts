import { randomBytes } from 'node:crypto';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Log } from '../../lambdas/core/ports.ts';
import { ulidText } from '../../lambdas/core/ulid.ts';
import type { NannyStatus, RenewOrder, SwapRequest } from '../../lambdas/core/wire/admin.ts';
import { diskFence, Fence } from './admin/fence.ts';
import { type AdminServer, startAdminServer } from './admin/server.ts';
import { Shipper } from './backup/shipper.ts';
import { EtcdClient } from './etcd/client.ts';
import { handOverLeadership } from './handover.ts';
import type { JoinClient } from './join-client.ts';
import { LoadProbe } from './load.ts';
import type { MemberDisk, SavedState } from './member-disk.ts';
import { giveMemoryBackSoon } from './memory.ts';
import { LatencyProbe } from './metrics.ts';
import { Observer } from './observer.ts';
import { fingerprintsIn, type Identity, type PkiStore, tlsOf } from './pki-store.ts';
import { findProgram } from './programs.ts';
import { ReadinessProbe } from './readiness.ts';
import { keepRenewing, renewOnce } from './renewal.ts';
import { Reporter } from './reporter.ts';
import { RestoreLoop } from './restore-loop.ts';
import type { S3Client } from './s3/client.ts';
import { Signals } from './signals.ts';
import { Snapshots } from './snapshot/snapshots.ts';
import { type StatusSeen, StatusSource } from './status.ts';
import { type EtcdCommand, EtcdSupervisor } from './supervisor.ts';
import type { Timing } from './timing.ts';

/** Ports of a task, all on its own address (docs/internals.md). */
const ports = { admin: 2378, client: 2379, metrics: 2381 };
const watchEachMs = 1_000;
const answerWithinMs = 500;
/** etcd stops in about 1.6 s. With the hand-over before it this stays below ECS's default stopTimeout of 30 s. */
const stopGraceMs = 20_000;
/**
 * Others wait for it to come back. When another member is lost just then, requests that cannot end keep etcd from
 * stopping for 7 s, and the cluster has no quorum as long: its log is safe after a SIGKILL too.
 */
const swapGraceMs = 3_000;

export interface MemberOptions {
  readonly who: { readonly tenantId: string; readonly memberName: string };
  readonly ip: string;
  readonly etcdDir: string;
  readonly etcdEnvironment: Readonly<Record<string, string | undefined>>;
  readonly disk: MemberDisk;
  readonly pki: PkiStore;
  readonly identity: Identity;
  readonly client: JoinClient;
  readonly s3: S3Client;
  readonly onLeave: (reason: string) => void;
  readonly writeLog: (line: string) => void;
  readonly log: Log;
  readonly timing: Timing;
}

/** A member that has its certificates: etcd under supervision, the admin API, watching, reporting, renewing. */
export class RunningMember {
  readonly #options: MemberOptions;
  readonly #stopping = new AbortController();
  readonly #observer: Observer;
  readonly #probe: ReadinessProbe;
  readonly #latency: LatencyProbe;
  readonly #load = new LoadProbe();
  readonly #signals = new Signals();
  readonly #reporter: Reporter;
  readonly #status: StatusSource;
  #identity: Identity;
  readonly #snapshots: Snapshots;
  readonly #shipper: Shipper;
  #supervisor: EtcdSupervisor | undefined;
  #restoring: RestoreLoop | undefined;
  /** One time for one end: a new one at each look would be a new report each second. */
  readonly #openedAt: string;
  #admin: AdminServer | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #wakeWatch = new AbortController();
  #identityChanged = new AbortController();
  #renewing: Promise<unknown> = Promise.resolve();

  constructor(options: MemberOptions) {
    const { ip, disk, client, s3, log, timing, who, onLeave } = options;
    this.#options = options;
    this.#openedAt = timing.now().toISOString();
    this.#identity = options.identity;
    const identity = () => this.#identity;
    const ownUrl = `https://${ip}:${ports.client}`;
    this.#observer = new Observer(ownUrl, identity);
    const metricsUrl = `https://${ip}:${ports.metrics}`;
    this.#probe = new ReadinessProbe(metricsUrl, identity);
    this.#latency = new LatencyProbe(metricsUrl, () => this.#probe.agent());
    this.#reporter = new Reporter(client, { log, timing, onLeave });
    const openEtcd = () => new EtcdClient(ownUrl, tlsOf(this.#identity, 'client'));
    this.#snapshots = new Snapshots({
      s3,
      openEtcd,
      saved: () => disk.saved?.snapshots ?? [],
      save: (snapshots) => disk.update({ snapshots }),
      onIdle: giveMemoryBackSoon,
      now: timing.now,
      log,
    });
    this.#shipper = new Shipper({
      s3,
      openEtcd,
      ulid: () => newUlid(timing.now()),
      saved: () => disk.saved?.backup,
      save: (backup) => disk.update({ backup }),
      onChange: () => this.#lookAgain(),
      log,
      timing,
    });
    this.#status = new StatusSource({
      ...who,
      incarnation: () => disk.saved?.incarnation ?? 0,
      etcd: () => this.#etcdView(),
      observe: (viewMaxAgeMs) => this.#observe(viewMaxAgeMs),
      certificates: () => this.#certificates(),
      disk: () => disk.space(),
      backup: () => this.#shipper.view,
      now: timing.now,
    });
  }

  /** Starts etcd first, unless the disk has ended. @throws ControlPlaneError */
  async start(): Promise<void> {
    const { disk, ip, log } = this.#options;
    const saved = disk.saved;
    let restored: Promise<void> = Promise.resolve();
    if (saved && !saved.ended) {
      if (saved.mode === 'restore') restored = this.#restore(saved);
      else this.#startEtcd(saved);
    }
    this.#admin = await startAdminServer(
      { ip, port: ports.admin, tls: tlsOf(this.#identity, 'admin'), log },
      {
        status: () => this.#status.current(),
        changed: () => this.#lookAgain(),
        etcd: () => this.#observer.client(),
        snapshot: (request) => this.#snapshots.ask(request),
        backup: (order) => this.#shipper.order(order),
        swap: (request) => this.#swap(request),
        renew: (order) => this.#renewAsOrdered(order),
        fence: new Fence(diskFence(disk, log)),
      },
    );
    this.#snapshots.clearUp();
    this.#shipper.resume();
    // Not waited for at the stop: a report under way may take 15 s, and nobody needs its answer any more.
    this.#loops = Promise.all([
      restored,
      this.#watch(),
      this.#reporter.run(),
      keepRenewing(
        {
          ...this.#options,
          renew: () => this.#renew(),
          identity: () => this.#identity,
          changed: () => this.#identityChanged.signal,
        },
        this.#stopping.signal,
      ),
    ]);
  }

  /** Rejects when one of the loops fails, which is a fault of ours. */
  async failure(): Promise<never> {
    await this.#loops;
    return await new Promise<never>(() => undefined);
  }

  /** For certificates that came with a join answer in the background. */
  useIdentity(identity: Identity): void {
    this.#identity = identity;
    this.#admin?.renew(tlsOf(identity, 'admin'));
    this.#identityChanged.abort();
    this.#identityChanged = new AbortController();
  }

  /** Hands leadership over (at most about 5 s), stops etcd, closes everything. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wakeWatch.abort();
    this.#reporter.stop();
    await Promise.all([this.#snapshots.stop(), this.#shipper.stop()]);
    await this.#handOver();
    await this.#supervisor?.stop(stopGraceMs);
    await this.#admin?.close();
    this.#observer.close();
    this.#probe.close();
  }

  /** For the very end of a process that could not stop in order: etcd must not outlive its nanny. */
  killEtcd(): void {
    this.#supervisor?.kill();
  }

  async #handOver(): Promise<void> {
    if (this.#supervisor?.view.pid === undefined) return;
    const { log, timing } = this.#options;
    const look = () => this.#observer.look(() => timing.now().getTime(), 0);
    await handOverLeadership(look, () => this.#observer.client(), log);
  }

  #lookAgain(): void {
    this.#status.forget();
    this.#wakeWatch.abort();
  }

  async #restore(saved: SavedState): Promise<void> {
    const { disk, s3, etcdDir, etcdEnvironment: environment, who, log, timing } = this.#options;
    const { memberName } = who;
    const etcdutl = findProgram(etcdDir, saved.etcdVersion, 'etcdutl');
    const onChange = () => this.#lookAgain();
    this.#restoring = new RestoreLoop({ disk, s3, etcdutl, environment, memberName, onChange, log, timing });
    if (await this.#restoring.run(this.#stopping.signal)) this.#startEtcd(disk.saved!);
    this.#restoring = undefined;
    onChange();
  }

  #startEtcd(saved: SavedState): void {
    this.#supervisor = this.#createSupervisor(saved);
    this.#supervisor.start();
  }

  /**
   * The same request again is done at once. nanny.json goes first: killed in between, the nanny starts what was ordered.
   * @throws ControlPlaneError
   */
  async #swap({ etcdVersion, etcdArguments }: SwapRequest): Promise<void> {
    const { disk, log } = this.#options;
    const supervisor = this.#supervisor;
    if (supervisor === undefined) throw notStarted();
    const command = this.#commandOf({ etcdVersion, etcdArguments });
    await disk.update({ etcdVersion, etcdArguments });
    // nanny.json may be ahead of what runs: a join answer changes it for the next start.
    if (isSame(command, supervisor.command)) return;
    log.info('Swapping etcd', { from: supervisor.command.program, to: command.program });
    await this.#handOver();
    await supervisor.swap(command, swapGraceMs);
  }

  /** One after the other: certificates that were asked for first must not come into force last. */
  async #renew(): Promise<Identity> {
    const renewed = this.#renewing.then(async () => {
      const next = await renewOnce(this.#options);
      this.useIdentity(next);
      return next;
    });
    this.#renewing = renewed.catch(() => undefined);
    return await renewed;
  }

  /** @throws ControlPlaneError */
  async #renewAsOrdered({ issuer, trusted }: RenewOrder): Promise<void> {
    const supervisor = this.#supervisor;
    if (supervisor === undefined) throw notStarted();
    const isOrdered = () =>
      this.#identity.issuer === issuer && isSameSet(fingerprintsIn(this.#identity.ca), trusted);
    if (!isOrdered()) await this.#renew();
    if (!isOrdered()) {
      throw new ControlPlaneError(
        'not-as-ordered',
        'The certificates that join gave are of another authority than ordered: the record has changed. Try again.',
        { retryable: true },
      );
    }
    if (isSameSet(supervisor.trusted, trusted)) return;
    this.#options.log.info('Restarting etcd: whom it trusts has changed', { trusted });
    await this.#handOver();
    await supervisor.swap(supervisor.command, swapGraceMs);
  }

  #certificates(): NonNullable<NannyStatus['certificates']> {
    const { notAfter, issuer } = this.#identity;
    const trusted = [...(this.#supervisor?.trusted ?? [])];
    return { notAfter: notAfter.toISOString(), ...(issuer !== undefined && { issuer }), trusted };
  }

  #commandOf({ etcdVersion, etcdArguments }: SwapRequest): EtcdCommand {
    const { disk, pki, etcdDir } = this.#options;
    return {
      program: findProgram(etcdDir, etcdVersion, 'etcd'),
      arguments: etcdArguments.map((argument) =>
        argument.replaceAll('{{data}}', disk.etcdDirectory).replaceAll('{{pki}}', pki.directory),
      ),
    };
  }

  #etcdView(): NannyStatus['etcd'] {
    if (this.#supervisor) return this.#supervisor.view;
    if (this.#restoring) return this.#restoring.view;
    const ended = this.#options.disk.saved?.ended;
    const at = this.#openedAt;
    return {
      state: ended?.state ?? 'stopped',
      restarts: 0,
      ...(ended && { lastExit: { at, code: null, signal: null, reason: ended.reason } }),
    };
  }

  #createSupervisor(saved: SavedState): EtcdSupervisor {
    const { disk, etcdEnvironment, writeLog, log, timing } = this.#options;
    return new EtcdSupervisor({
      ...this.#commandOf(saved),
      environment: etcdEnvironment,
      hasData: () => disk.hasData(),
      trusted: () => fingerprintsIn(this.#identity.ca),
      readiness: () => this.#probe.check(),
      // The port is bound from the beginning, so that connections wait there: only an answer tells.
      takesClients: () =>
        this.#observer
          .client()
          .status(answerWithinMs)
          .then(
            () => true,
            () => false,
          ),
      onData: () => disk.update({ mode: 'resume' }),
      onEnded: (state, reason) => disk.update({ ended: { state, reason } }),
      onChange: () => this.#lookAgain(),
      writeLog,
      log,
      timing,
    });
  }

  /** Who answers in the place of an etcd that does not run: clients of ours reach it, whatever cluster it is of (S9). */
  async #stranger(nowMs: () => number): Promise<Pick<StatusSeen, 'self'>> {
    const { self } = await this.#observer.look(nowMs, 0);
    return self === undefined ? {} : { self };
  }

  async #observe(viewMaxAgeMs: number): Promise<StatusSeen> {
    const pid = this.#supervisor?.view.pid;
    const { timing, disk } = this.#options;
    const nowMs = () => timing.now().getTime();
    if (pid === undefined) return { alarms: [], ...(this.#supervisor && (await this.#stranger(nowMs))) };
    const [{ self, ...seen }, latency, load] = await Promise.all([
      this.#observer.look(nowMs, viewMaxAgeMs),
      this.#latency.look(nowMs()),
      this.#load.look(pid, nowMs()),
    ]);
    const readProblem = this.#probe.last?.readProblem;
    const { authRevision } = this.#latency;
    const dbSizeQuota = self?.dbSizeQuota ?? quotaIn(disk.saved?.etcdArguments ?? []);
    return {
      ...seen,
      ...(self && { self: { ...self, ...(dbSizeQuota !== undefined && { dbSizeQuota }) } }),
      ...(self && latency && { latency: { ...latency, applyLag: self.raftIndex - self.raftAppliedIndex } }),
      ...(load && { load }),
      ...(authRevision !== undefined && { authRevision }),
      ...(readProblem !== undefined && { readProblem }),
    };
  }

  async #watch(): Promise<void> {
    const { timing } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#wakeWatch = new AbortController();
      const status = await this.#status.watched();
      this.#reporter.offer(status, this.#signals.next(status));
      if (this.#stopping.signal.aborted) break;
      await timing.sleep(watchEachMs, this.#wakeWatch.signal);
    }
  }
}

/** Of ids of one nanny the order does not matter, only that no two are the same. */
const newUlid = (now: Date): string =>
  ulidText((BigInt(now.getTime()) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`));

/** 3.5 does not tell its quota. */
function quotaIn(etcdArguments: readonly string[]): number | undefined {
  const flag = '--quota-backend-bytes=';
  const argument = etcdArguments.find((candidate) => candidate.startsWith(flag));
  return argument === undefined ? undefined : Number(argument.slice(flag.length));
}

const notStarted = () =>
  new ControlPlaneError('etcd-down', 'etcd has not been started yet: try again.', { retryable: true });

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((entry) => b.includes(entry));

const isSame = (a: EtcdCommand, b: EtcdCommand): boolean =>
  JSON.stringify([a.program, a.arguments]) === JSON.stringify([b.program, b.arguments]);
