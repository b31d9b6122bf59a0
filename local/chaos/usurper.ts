import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsError } from '../aws/service.ts';
import type { EtcdCommand } from './stopped-etcd.ts';

export interface Usurper {
  readonly pid: number;
  /** Ends it; its disk goes with it. */
  stop(): Promise<void>;
}

const patienceMs = 15_000;

/**
 * What somebody starts who takes a member's command line and founds a cluster with it: another one, of one member, on a
 * disk of its own. Meanwhile nobody else may be listening on the member's address.
 */
export async function usurp(member: string, [program = '', ...words]: EtcdCommand): Promise<Usurper> {
  const flags = new Map(
    words.map((word) => {
      const at = word.indexOf('=');
      return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
    }),
  );
  const disk = mkdtempSync(path.join(tmpdir(), 'nanny-usurper-'));
  flags.set('--data-dir', disk);
  flags.set('--initial-cluster', `${member}=${flags.get('--initial-advertise-peer-urls')}`);
  flags.set('--initial-cluster-state', 'new');
  flags.set('--initial-cluster-token', randomUUID());
  const args = [...flags].map(([name, value]) => (value === undefined ? name! : `${name}=${value}`));
  // In a group of its own: what freezes or ends the member's task is told by the caller.
  const etcd = spawn(program, args, { stdio: 'ignore', detached: true });
  const ended = new Promise<void>((resolve) => {
    etcd.on('exit', () => resolve());
    etcd.on('error', () => resolve());
  });
  const stop = async (): Promise<void> => {
    etcd.kill('SIGKILL');
    await ended;
    rmSync(disk, { recursive: true, force: true });
  };
  const address = new URL(flags.get('--listen-client-urls') ?? '');
  for (const end = Date.now() + patienceMs; ; await sleep(50)) {
    if (etcd.exitCode === null && (await answers(address))) return { pid: etcd.pid!, stop };
    if (etcd.exitCode === null && Date.now() < end) continue;
    await stop();
    throw new AwsError('NotRunning', `The etcd that was to take the place of ${member} did not start.`, 409);
  }
}

const answers = ({ hostname, port }: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
