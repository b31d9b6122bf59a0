import type { TenantSpec } from './model/spec.ts';

type Window = NonNullable<TenantSpec['maintenanceWindow']>;

const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const dayMs = 24 * 3600_000;

/**
 * When work that people may notice may begin: undefined means now, else the beginning of the next window. A window
 * may reach over midnight; its day is that of its beginning. All times are UTC.
 */
export function windowOpens(window: Window | undefined, now: Date): Date | undefined {
  if (window === undefined) return undefined;
  const [hours, minutes] = window.start.split(':').map(Number) as [number, number];
  const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  // A window of at most 24 hours that began yesterday may still be open; the same day next week is the latest.
  for (let day = -1; day <= 7; day++) {
    const start = midnight + day * dayMs + (hours * 60 + minutes) * 60_000;
    if (!window.days.includes(days[new Date(start).getUTCDay()]!)) continue;
    if (now.getTime() < start) return new Date(start);
    if (now.getTime() < start + window.minutes * 60_000) return undefined;
  }
  throw new RangeError('a maintenance window needs a day');
}
