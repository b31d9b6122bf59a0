/** IPv4 addresses of a subnet, handed out as an elastic network interface would get them. */

function toNumber(ip: string): number {
  return ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/**
 * The next address after host number `last`, round robin. The first four (network, router, DNS, reserved) and the last
 * one belong to AWS. `avoid` holds addresses given back a short while ago: taken only if nothing else is left.
 */
export function nextAddress(
  cidr: string,
  last: number,
  used: ReadonlySet<string>,
  avoid: ReadonlySet<string>,
): { ip: string; host: number } | undefined {
  const [base = '', bits = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  const start = Math.floor(toNumber(base) / size) * size;
  const usable = size - 5;
  for (const skip of [avoid, new Set<string>()]) {
    for (let step = 0; step < usable; step += 1) {
      const host = ((Math.max(last, 3) - 3 + step) % usable) + 4;
      const ip = toText(start + host);
      if (!used.has(ip) && !skip.has(ip)) return { ip, host };
    }
  }
  return undefined;
}

/** The subnet's router and DNS, as task metadata shows them. */
export function subnetGateway(cidr: string): { gateway: string; dns: string } {
  const base = toNumber(cidr.split('/')[0] ?? '');
  return { gateway: toText(base + 1), dns: toText(base + 2) };
}
