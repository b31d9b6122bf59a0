import type { Clock, Log } from '../core/ports.ts';

/** One JSON document a line on stdout, in the field names of Lambda's own JSON logs. */
export function jsonLog(options: {
  clock: Pick<Clock, 'now'>;
  fields?: Record<string, unknown>;
  write?: (line: string) => void;
}): Log {
  const write = options.write ?? ((line: string) => void process.stdout.write(line));
  const put = (level: string, message: string, fields: Record<string, unknown> = {}): void => {
    const timestamp = options.clock.now().toISOString();
    write(`${JSON.stringify({ timestamp, level, message, ...options.fields, ...fields }, writableErrors)}\n`);
  };
  return {
    info: (message, fields) => put('INFO', message, fields),
    warn: (message, fields) => put('WARN', message, fields),
    error: (message, fields) => put('ERROR', message, fields),
  };
}

function writableErrors(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return { name, message, stack, ...('code' in value ? { code: value.code } : {}), cause };
  }
  return typeof value === 'bigint' ? value.toString() : value;
}
