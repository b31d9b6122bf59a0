import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { SourceName } from './source.ts';

export interface FailedSource {
  readonly source: SourceName;
  readonly reason: string;
  readonly advice?: string;
}

export interface FailedVersion {
  readonly version: string;
  readonly failures: readonly FailedSource[];
}

/** No source could give any of the versions: one message names each source with its reasons and says what to do. */
export class EtcdUnavailableError extends ControlPlaneError {
  readonly attempts: readonly FailedVersion[];

  constructor(attempts: readonly FailedVersion[]) {
    super('etcd-unavailable', explain(attempts));
    this.attempts = attempts;
  }

  get versions(): string[] {
    return this.attempts.map((attempt) => attempt.version);
  }
}

function explain(attempts: readonly FailedVersion[]): string {
  const versions = attempts.map((attempt) => attempt.version).join(', ');
  const all = attempts.flatMap(({ version, failures }) =>
    failures.map((failure) => ({ version, ...failure })),
  );
  // One line per source and reason; the versions are named where the reason does not hold for all of them.
  const lines = new Map<string, { source: SourceName; reason: string; versions: string[] }>();
  for (const { version, source, reason } of all) {
    const key = `${source} ${reason}`;
    const line = lines.get(key) ?? { source, reason, versions: [] };
    line.versions.push(version);
    lines.set(key, line);
  }
  const advice = new Set(all.flatMap((failure) => failure.advice ?? []));
  return [
    attempts.length === 1
      ? `etcd ${versions} cannot be had on this machine:`
      : `none of etcd ${versions} can be had on this machine:`,
    ...[...lines.values()].map((line) => {
      const only = line.versions.length < attempts.length ? `${line.versions.join(', ')}: ` : '';
      return `  ${line.source.padEnd(9)} ${only}${line.reason}`;
    }),
    'What you can do (any one of these):',
    ...[...advice].map((line) => `  - ${line}`),
    '  - put etcd, etcdctl and etcdutl into DIR/<version>/ yourself and name DIR (--directory DIR)',
  ].join('\n');
}
