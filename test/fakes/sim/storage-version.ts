/** After the last member runs a newer minor etcd's own version, and with it the storage's, rises that much later. */
const risesAfterMs = 3_000;

/** The storage version of a cluster: the lowest minor of its members, where a rise is late. */
export class StorageVersion {
  #settled: string | undefined;
  #rising: { readonly to: string; readonly since: number } | undefined;

  /** @param lowest minor zero of the oldest member's version, e.g. `3.6.0` */
  at(lowest: string, nowMs: number): string {
    if (this.#settled === undefined || lowest <= this.#settled) {
      this.#settled = lowest;
      this.#rising = undefined;
      return lowest;
    }
    if (this.#rising?.to !== lowest) this.#rising = { to: lowest, since: nowMs };
    if (nowMs - this.#rising.since < risesAfterMs) return this.#settled;
    this.#settled = lowest;
    return lowest;
  }
}
