/** Milliseconds for people: `850 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `3 d`. */
export function shortTime(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return withRest(minutes, 'min', Math.floor(seconds % 60), 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return withRest(hours, 'h', minutes % 60, 'min');
  return `${Math.floor(hours / 24)} d`;
}

const withRest = (amount: number, unit: string, rest: number, restUnit: string): string =>
  rest === 0 ? `${amount} ${unit}` : `${amount} ${unit} ${rest} ${restUnit}`;

/** `3 min 20 s ago`, `in 2 h`, `now`. */
export function relativeTime(iso: string, now: Date): string {
  const ms = now.getTime() - Date.parse(iso);
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `${coarse(ms)} ago` : `in ${coarse(-ms)}`;
}

/** One unit is enough to tell an age. */
const coarse = (ms: number): string =>
  shortTime(ms)
    .replace(/\.\d+ s$/, ' s')
    .replace(/^(\d+ \w+) .*$/, '$1');

/** Clock time in the reader's zone; with the date when it is not today. */
export function clockTime(iso: string, now: Date): string {
  const time = new Date(iso);
  const clock = time.toLocaleTimeString('en-GB', { hour12: false });
  const sameDay = time.toDateString() === now.toDateString();
  return sameDay ? clock : `${time.toLocaleDateString('en-CA')} ${clock}`;
}

/** Columns padded to their widest cell, two spaces between them. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
