import type { Log } from '../../lambdas/core/ports.ts';

type Write = (line: string) => void;

/** Structured log: one JSON object a line, the same field names as etcd's own (level, ts, msg) plus `source`. */
export function createLog(write: Write, now: () => Date): Log {
  const at = (level: string) => (msg: string, fields?: Record<string, unknown>) =>
    write(`${JSON.stringify({ source: 'nanny', level, ts: now().toISOString(), msg, ...fields })}\n`);
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** etcd's line with `source` in front. Not parsed: under load etcd logs much, and the nanny has 1 % of a core. */
export function mergeEtcdLine(line: string): string {
  if (line.startsWith('{"')) return `{"source":"etcd",${line.slice(1)}\n`;
  // A panic, or a usage text: not JSON.
  return `${JSON.stringify({ source: 'etcd', level: 'raw', msg: line })}\n`;
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
