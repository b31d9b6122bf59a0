/** What a finished etcd process tells us, and what follows from it. */
export interface EtcdExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Last lines of its log, oldest first, as LastLines keeps them. */
  readonly lastLines: readonly string[];
  /** Whether /readyz had answered 200 in this run. */
  readonly wasReady: boolean;
  /** Whether there is a WAL on the disk. */
  readonly hasData: boolean;
}

export type ExitVerdict =
  /** Terminal: etcd left because the cluster removed it. */
  | { readonly kind: 'removed'; readonly reason: string }
  /** The data on this disk cannot be used. */
  | { readonly kind: 'corrupt'; readonly reason: string }
  /** The machine or the settings are at fault, not the data: try again, however often. */
  | { readonly kind: 'environment'; readonly reason: string }
  /** Was killed from outside, or fell after it had worked: try again. */
  | { readonly kind: 'crash'; readonly reason: string }
  /** Did not come up, and nothing explains it: three in a row mean that the data cannot be used. */
  | { readonly kind: 'unexplained'; readonly reason: string };

const keptLines = 60;

/** The end of etcd's log. Of a crash of Go it keeps the head: the dump of all goroutines is hundreds of lines. */
export class LastLines {
  readonly lines: string[] = [];
  #inDump = false;

  add(line: string): void {
    this.#inDump = line.startsWith('goroutine ') || (this.#inDump && !line.startsWith('{'));
    if (this.#inDump) return;
    if (this.lines.push(line) > keptLines) this.lines.shift();
  }
}

/** Not merely /removed/: etcd also logs "removed member" when it is another member that leaves. */
const removedPattern =
  /data-dir used by this member must be removed|the member has been permanently removed from the cluster|server has been removed/i;

const environmentPatterns: readonly [RegExp, string][] = [
  [/^spawn \S+ E[A-Z]+/m, 'the program is missing or cannot be run'],
  [/address already in use/i, 'a port etcd needs is in use by another process'],
  [/cannot assign requested address/i, 'the address of this task is not on this machine'],
  [/no space left on device/i, 'the disk is full'],
  [/permission denied|operation not permitted|read-only file system/i, 'etcd may not use its files'],
  [/too many open files/i, 'too many open files'],
  [/cannot allocate memory|out of memory/i, 'there is not enough memory'],
  [
    /flag provided but not defined|unknown flag|invalid value .* for flag|invalid argument .* for/i,
    'this etcd version does not accept its command line',
  ],
  [/open \S+\.pem: no such file|tls: failed to|x509: /i, 'a certificate file is missing or cannot be used'],
  [
    /invalid downgrade|incompatible with current running cluster|cluster version is .* than/i,
    'this etcd version does not fit the cluster or the data',
  ],
  [
    /error validating peerURLs|member count is unequal|unmatched member while checking PeerURLs|cannot fetch cluster info from peer URLs|couldn't find local name/i,
    'the cluster does not know this member under its address (yet), or cannot be reached',
  ],
];

/** Seen with 3.5.35, 3.6.16 and 3.7.3 on disks damaged in a dozen ways. */
const corruptionPatterns: readonly [RegExp, string][] = [
  [/crc mismatch|failed to (read|open) WAL|wal: |invalid wire-format data/i, 'the WAL is damaged'],
  [/panic: cannot use none as id/, 'the WAL has lost its beginning'],
  [
    /failed to recover v3 backend|failed to find database snapshot file/i,
    'database, snapshots and WAL do not fit together',
  ],
  [
    /invalid database|checksum error|file size too small|invalid page|Page expected to be|freelist|already freed|unexpected fault address/i,
    'the database file is damaged',
  ],
  [/found data inconsistency with peers/i, 'the data differs from that of the other members'],
  [
    /Was the raft log corrupted, truncated, or lost|is out of range \[lastIndex/i,
    'the end of the raft log is gone',
  ],
  [/has already been bootstrapped/i, 'the cluster has known this member before, but its data is gone'],
];

const deliberateSignals = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGPIPE']);

export function judgeExit(exit: EtcdExit): ExitVerdict {
  if (exit.code === 0 && removedPattern.test(exit.lastLines.join('\n'))) {
    return { kind: 'removed', reason: 'etcd was removed from its cluster' };
  }
  const how = exit.signal ? `was ended by ${exit.signal}` : `exited with code ${exit.code}`;
  if (exit.signal && deliberateSignals.has(exit.signal)) return { kind: 'crash', reason: `etcd ${how}` };
  // What etcd merely warns of (a peer with a bad certificate, say) is not why it ended.
  const text = exit.lastLines.filter((line) => !/"level":"(debug|info|warn)"/.test(line)).join('\n');
  const match = (patterns: readonly [RegExp, string][]) =>
    patterns.find(([pattern]) => pattern.test(text))?.[1];
  const environment = match(environmentPatterns);
  if (environment) return { kind: 'environment', reason: `etcd ${how}: ${environment}` };
  const corruption = match(corruptionPatterns);
  // After it had worked, let the next start tell whether it was the disk.
  if (corruption && !exit.wasReady) return { kind: 'corrupt', reason: `etcd ${how}: ${corruption}` };
  if (exit.wasReady || !exit.hasData) return { kind: 'crash', reason: `etcd ${how}` };
  return { kind: 'unexplained', reason: `etcd ${how} before it was ready` };
}
