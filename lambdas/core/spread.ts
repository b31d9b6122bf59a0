/** Members per zone; zones without members count 0. */
export function zoneCounts(zones: readonly string[], placed: readonly string[]): Map<string, number> {
  const counts = new Map(zones.map((zone) => [zone, 0]));
  for (const zone of placed) counts.set(zone, (counts.get(zone) ?? 0) + 1);
  return counts;
}

/**
 * Zones for `count` more members beside those `placed` (S4): always the emptiest zone next. Ties go by the order of
 * `zones` turned by `turn`, so that the odd members of many tenants do not all land in the first zone.
 */
export function chooseZones(
  zones: readonly string[],
  placed: readonly string[],
  count: number,
  turn = 0,
): string[] {
  const order = zones.map((_, index) => zones[(index + turn) % zones.length]!);
  const chosen: string[] = [];
  for (let i = 0; i < count; i++) {
    const counts = zoneCounts(order, [...placed, ...chosen]);
    chosen.push(order.reduce((best, zone) => (counts.get(zone)! < counts.get(best)! ? zone : best)));
  }
  return chosen;
}

/** Why this placing breaks S4, or undefined. One member alone cannot be spread. */
export function spreadProblem(zones: readonly string[], placed: readonly string[]): string | undefined {
  const counts = zoneCounts(zones, placed);
  const most = Math.max(...counts.values());
  const least = Math.min(...counts.values());
  const shown = [...counts].map(([zone, members]) => `${zone}: ${members}`).join(', ');
  if (most - least > 1) return `members per zone would differ by more than one (${shown})`;
  if (placed.length > 1 && most > placed.length / 2) {
    return `one zone would hold a majority of the members (${shown})`;
  }
  return undefined;
}

/** How far a placing is from even: 0 is as even as it gets. For choosing between placings that are not perfect. */
export function spreadExcess(zones: readonly string[], placed: readonly string[]): number {
  const counts = [...zoneCounts(zones, placed).values()];
  return Math.max(0, Math.max(...counts) - Math.min(...counts) - 1);
}
