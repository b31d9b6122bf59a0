const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const timeDigits = 10;

/** 26 characters for 128 bits. */
export function ulidText(value: bigint): string {
  let text = '';
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += crockford[Number((value >> shift) & 31n)];
  return text;
}

/** When it was made, milliseconds since 1970. */
export const ulidMs = (id: string): number =>
  [...id.slice(0, timeDigits)].reduce((time, char) => time * 32 + crockford.indexOf(char), 0);

/** The same one for the same time and token (random bits, hex). */
export function ulidOf(ms: number, token: string): string {
  let random = 0n;
  for (let at = 0; at < 20; at += 1) {
    random = (random << 4n) | BigInt(Number.parseInt(token.charAt(at), 16) || 0);
  }
  return ulidText((BigInt(ms) << 80n) | random);
}
