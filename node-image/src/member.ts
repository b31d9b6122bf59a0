import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { Log } from '../../lambdas/core/ports.ts';
import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';
import { Fence } from './admin/fence.ts';
import { type AdminServer, startAdminServer } from './admin/server.ts';
import { handOverLeadership } from './handover.ts';
import type { JoinClient } from './join-client.ts';
import type { MemberDisk, SavedState } from './member-disk.ts';
import { Observer } from './observer.ts';
import { type Identity, type PkiStore, tlsOf } from './pki-store.ts';
import { ReadinessProbe } from './readiness.ts';
import { keepRenewing } from './renewal.ts';
import { Reporter } from './reporter.ts';
import { StatusSource } from './status.ts';
import { EtcdSupervisor } from './supervisor.ts';
import type { Timing } from './timing.ts';

/** Ports of a task, all on its own address (docs/internals.md). */
const ports = { admin: 2378, client: 2379, metrics: 2381 };
const watchEachMs = 1_000;
/** etcd stops in about 1.6 s. With the hand-over before it this stays below ECS's default stopTimeout of 30 s. */
const stopGraceMs = 20_000;

export interface MemberOptions {
  readonly who: { readonly tenantId: string; readonly memberName: string };
  readonly ip: string;
  readonly etcdDir: string;
  readonly etcdEnvironment: Readonly<Record<string, string | undefined>>;
  readonly disk: MemberDisk;
  readonly pki: PkiStore;
  readonly identity: Identity;
  readonly client: JoinClient;
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
  readonly #reporter: Reporter;
  readonly #status: StatusSource;
  #identity: Identity;
  #supervisor: EtcdSupervisor | undefined;
  /** One time for one end: a new one at each look would be a new report each second. */
  readonly #openedAt: string;
  #admin: AdminServer | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #wakeWatch = new AbortController();
  #identityChanged = new AbortController();

  constructor(options: MemberOptions) {
    const { ip, disk, client, log, timing, who, onLeave } = options;
    this.#options = options;
    this.#openedAt = timing.now().toISOString();
    this.#identity = options.identity;
    const identity = () => this.#identity;
    this.#observer = new Observer(`https://${ip}:${ports.client}`, identity);
    this.#probe = new ReadinessProbe(`https://${ip}:${ports.metrics}`, identity);
    this.#reporter = new Reporter(client, { log, timing, onLeave });
    this.#status = new StatusSource({
      ...who,
      incarnation: () => disk.saved?.incarnation ?? 0,
      etcd: () => this.#etcdView(),
      observe: async (viewMaxAgeMs) => {
        if (this.#supervisor?.view.pid === undefined) return { alarms: [] };
        return await this.#observer.look(() => timing.now().getTime(), viewMaxAgeMs);
      },
      notAfter: () => this.#identity.notAfter,
      disk: () => disk.space(),
      now: timing.now,
    });
  }

  /** Starts etcd first, unless the disk has ended. @throws ControlPlaneError */
  async start(): Promise<void> {
    const { disk, ip, log } = this.#options;
    const saved = disk.saved;
    if (saved && !saved.ended) {
      this.#supervisor = this.#createSupervisor(saved);
      this.#supervisor.start();
    }
    this.#admin = await startAdminServer(
      { ip, port: ports.admin, tls: tlsOf(this.#identity, 'admin'), log },
      {
        status: () => this.#status.current(),
        changed: () => {
          this.#status.forget();
          this.#wakeWatch.abort();
        },
        etcd: () => this.#observer.client(),
        fence: new Fence({
          current: () => disk.saved?.fence ?? 0,
          raise: (fence) => disk.update({ fence }),
        }),
      },
    );
    // Not waited for at the stop: a report under way may take 15 s, and nobody needs its answer any more.
    this.#loops = Promise.all([
      this.#watch(),
      this.#reporter.run(),
      keepRenewing(
        {
          ...this.#options,
          identity: () => this.#identity,
          changed: () => this.#identityChanged.signal,
          onRenewed: (next) => this.useIdentity(next),
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
    const { log, timing } = this.#options;
    this.#stopping.abort();
    this.#wakeWatch.abort();
    this.#reporter.stop();
    if (this.#supervisor?.view.pid !== undefined) {
      await handOverLeadership(
        () => this.#observer.look(() => timing.now().getTime(), 0),
        () => this.#observer.client(),
        log,
      );
    }
    await this.#supervisor?.stop(stopGraceMs);
    await this.#admin?.close();
    this.#observer.close();
    this.#probe.close();
  }

  /** For the very end of a process that could not stop in order: etcd must not outlive its nanny. */
  killEtcd(): void {
    this.#supervisor?.kill();
  }

  #etcdView(): NannyStatus['etcd'] {
    if (this.#supervisor) return this.#supervisor.view;
    const ended = this.#options.disk.saved?.ended;
    const at = this.#openedAt;
    return {
      state: ended?.state ?? 'stopped',
      restarts: 0,
      ...(ended && { lastExit: { at, code: null, signal: null, reason: ended.reason } }),
    };
  }

  #createSupervisor(saved: SavedState): EtcdSupervisor {
    const { disk, pki, etcdDir, etcdEnvironment, writeLog, log, timing } = this.#options;
    return new EtcdSupervisor({
      program: findProgram(etcdDir, saved.etcdVersion),
      arguments: saved.etcdArguments.map((argument) =>
        argument.replaceAll('{{data}}', disk.etcdDirectory).replaceAll('{{pki}}', pki.directory),
      ),
      environment: etcdEnvironment,
      hasData: () => disk.hasData(),
      isReady: () => this.#probe.isReady(),
      onData: () => disk.update({ mode: 'resume' }),
      onEnded: (state, reason) => disk.update({ ended: { state, reason } }),
      onChange: () => {
        this.#status.forget();
        this.#wakeWatch.abort();
      },
      writeLog,
      log,
      timing,
    });
  }

  async #watch(): Promise<void> {
    const { timing } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#wakeWatch = new AbortController();
      this.#reporter.offer(await this.#status.watched());
      if (this.#stopping.signal.aborted) break;
      await timing.sleep(watchEachMs, this.#wakeWatch.signal);
    }
  }
}

function findProgram(etcdDir: string, version: string): string {
  const program = join(etcdDir, version, 'etcd');
  if (existsSync(program)) return program;
  const there = existsSync(etcdDir) ? readdirSync(etcdDir).join(', ') : 'nothing';
  throw new ControlPlaneError(
    'no-such-version',
    `This node image carries no etcd ${version} (${etcdDir} has: ${there}). Deploy a node image with this version, or give the tenant another.`,
  );
}
