import { InvalidArgumentError } from 'commander';

/** Parsers of option values. Only the form is checked here; limits are the API's business. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

const units: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};

/** `90s`, `30m`, `24h`, `7d`, `2w`, `1y` → seconds. */
export function duration(text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhdwy])$/.exec(text) ?? [];
  if (!amount || !unit)
    throw new InvalidArgumentError('It must be a number and a unit, such as 30m, 24h or 7d.');
  return Number(amount) * units[unit]!;
}

/** `10`, `10G`, `10GiB` → GiB. */
export function gibibytes(text: string): number {
  const [, amount] = /^(\d{1,6})(?:G|GiB)?$/.exec(text) ?? [];
  if (!amount) throw new InvalidArgumentError('It must be a size in GiB, such as 20 or 20GiB.');
  return Number(amount);
}

/** `2048`, `2048MiB`, `2GiB` → MiB. */
export function mebibytes(text: string): number {
  const [, amount, unit = 'M'] = /^(\d{1,7})(M|MiB|G|GiB)?$/.exec(text) ?? [];
  if (!amount) throw new InvalidArgumentError('It must be a size in MiB or GiB, such as 2048 or 2GiB.');
  return Number(amount) * (unit.startsWith('G') ? 1024 : 1);
}

/** `off`, `60m` (history of an hour), `1000` (revisions). */
export function autoCompaction(text: string) {
  if (text === 'off') return { mode: 'off' } as const;
  if (/^\d+$/.test(text)) return { mode: 'revision', retentionRevisions: wholeNumber(text) } as const;
  try {
    return { mode: 'periodic', retentionMinutes: Math.round(duration(text) / 60) } as const;
  } catch {
    throw new InvalidArgumentError(
      'It must be off, a time such as 60m, or a number of revisions such as 10000.',
    );
  }
}

export function port(text: string): number {
  const number = wholeNumber(text);
  if (number < 1 || number > 65_535) throw new InvalidArgumentError('It must be a port from 1 to 65535.');
  return number;
}

/** `sat,sun 03:30 2h` → days, UTC time and length of a maintenance window; `none` stays (commander knows no null). */
export function window(text: string) {
  if (text === 'none') return text;
  const [, days, start, length] = /^([a-z]{3}(?:,[a-z]{3})*) (\d{2}:\d{2}) (\w+)$/.exec(text.trim()) ?? [];
  if (!days || !start || !length) {
    throw new InvalidArgumentError(
      'It must be days, a UTC time and a length, such as "sat,sun 03:30 2h", or none.',
    );
  }
  return { days: days.split(','), start, minutes: Math.round(duration(length) / 60) };
}

/** `small..large` → the bounds of autoscale; `off` stays. */
export function sizeRange(text: string) {
  if (text === 'off') return text;
  const [, min, max] = /^([a-z]+)\.\.([a-z]+)$/.exec(text) ?? [];
  if (!min || !max)
    throw new InvalidArgumentError('It must be two size classes, such as small..large, or off.');
  return { min, max };
}
