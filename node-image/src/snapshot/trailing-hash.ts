import { createHash } from 'node:crypto';
import { ControlPlaneError } from '../../../lambdas/core/errors.ts';

const hashBytes = 32;
/** etcd's snapshots are bbolt files, whole pages, and so is their size but for the hash (etcd checks the same way). */
const sizeUnit = 512;

/** Checks a snapshot as it streams by: its last 32 bytes are the SHA-256 of everything before. */
export class TrailingHash {
  readonly #hash = createHash('sha256');
  #tail: Buffer = Buffer.alloc(0);
  bytes = 0;

  update(chunk: Buffer): void {
    this.bytes += chunk.length;
    const all = this.#tail.length > 0 ? Buffer.concat([this.#tail, chunk]) : chunk;
    const safe = Math.max(0, all.length - hashBytes);
    this.#hash.update(all.subarray(0, safe));
    // A copy: the chunk is much larger and would stay in memory.
    this.#tail = Buffer.from(all.subarray(safe));
  }

  /**
   * SHA-256 of the whole file, hash included, hex.
   * @throws ControlPlaneError when the file is cut short or altered
   */
  finish(): string {
    if (this.bytes % sizeUnit !== hashBytes) {
      throw new ControlPlaneError(
        'truncated-snapshot',
        `The snapshot ended after ${this.bytes} bytes without etcd's hash: it is cut short.`,
        { retryable: true },
      );
    }
    const whole = this.#hash.copy().update(this.#tail).digest('hex');
    if (!this.#hash.digest().equals(this.#tail)) {
      throw new ControlPlaneError(
        'altered-snapshot',
        "The snapshot does not match etcd's own hash at its end: bytes were altered on the way.",
        { retryable: true },
      );
    }
    return whole;
  }
}
