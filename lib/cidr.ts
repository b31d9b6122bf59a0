import * as z from 'zod';

/** IPv4 block with prefix length between `shortest` and `longest`, host bits zero. Any range, loopback included. */
export const cidrBlockSchema = (shortest: number, longest: number) =>
  z.string().superRefine((text, context) => {
    const block = parse(text);
    const problem =
      block === undefined
        ? 'must be an IPv4 block such as 10.42.0.0/16'
        : block.prefix < shortest || block.prefix > longest
          ? `must have a prefix length from /${shortest} to /${longest}`
          : block.address % 2 ** (32 - block.prefix) !== 0
            ? `has host bits set: ${format(block.address - (block.address % 2 ** (32 - block.prefix)), block.prefix)} is meant?`
            : undefined;
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });

/** The block `index` places after `cidr`, of the same size; undefined beyond the end of IPv4. */
export function nextCidrBlock(cidr: string, index: number): string | undefined {
  const block = parse(cidr);
  if (block === undefined) return undefined;
  const address = block.address + index * 2 ** (32 - block.prefix);
  return address >= 2 ** 32 ? undefined : format(address, block.prefix);
}

/** The block of length `prefix` that is number `index` within `cidr`. */
export function blockWithin(cidr: string, prefix: number, index: number): string {
  const block = parse(cidr);
  if (block === undefined || prefix < block.prefix || index >= 2 ** (prefix - block.prefix))
    throw new Error(`${cidr} has no block ${index} of /${prefix}`);
  return format(block.address + index * 2 ** (32 - prefix), prefix);
}

function parse(text: string): { address: number; prefix: number } | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  if (match === null) return undefined;
  const [a, b, c, d, prefix] = match.slice(1).map(Number) as [number, number, number, number, number];
  if (prefix > 32 || [a, b, c, d].some((byte) => byte > 255)) return undefined;
  return { address: ((a * 256 + b) * 256 + c) * 256 + d, prefix };
}

function format(address: number, prefix: number): string {
  const bytes = [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256);
  return `${bytes.join('.')}/${prefix}`;
}
