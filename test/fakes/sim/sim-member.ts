import type { EtcdState, NannyStatus } from '../../../lambdas/core/wire/admin.ts';
import type { FakeCertificates } from '../fake-pki.ts';
import type { SimTask } from './sim-ecs.ts';

/** A task's nanny and etcd. */
export interface SimMember {
  readonly task: SimTask;
  state: EtcdState;
  /** How far it has applied the log. */
  applied: number;
  lastExit?: NannyStatus['etcd']['lastExit'];
  certificates?: FakeCertificates;
  /** Of its etcd. */
  arguments?: readonly string[];
  boot?: { mode: string; incarnation: number; version: string; token: string };
}

/** Value of one of etcd's flags in a boot answer; empty when it is not there. */
export const argument = (boot: { etcdArguments: string[] }, name: string): string =>
  boot.etcdArguments.find((entry) => entry.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
