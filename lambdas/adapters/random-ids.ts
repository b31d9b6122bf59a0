import { randomBytes } from 'node:crypto';
import type { Clock, Ids } from '../core/ports.ts';
import { ulidText } from '../core/ulid.ts';

const memberAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const randomBits = 80n;

/**
 * Ids from the operating system's randomness. ULIDs of one instance grow strictly, even within one millisecond and
 * when the clock steps back, so that a timeline reads in the order in which it was written.
 */
export function randomIds(clock: Pick<Clock, 'now'>, random: (bytes: number) => Buffer = randomBytes): Ids {
  let last = 0n;
  return {
    ulid() {
      const fresh = (BigInt(clock.now().getTime()) << randomBits) | BigInt(`0x${random(10).toString('hex')}`);
      last = fresh >> randomBits > last >> randomBits ? fresh : last + 1n;
      return ulidText(last);
    },
    memberName() {
      let name = 'm';
      while (name.length < 9) {
        const byte = random(1)[0]!;
        // 252 is the largest multiple of 36 in a byte: above it the first letters would be more likely.
        if (byte < 252) name += memberAlphabet[byte % memberAlphabet.length];
      }
      return name;
    },
    clusterToken: () => random(16).toString('hex'),
  };
}
