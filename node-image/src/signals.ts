import type { NannyStatus } from '../../lambdas/core/wire/admin.ts';

/** What of the figures that move all the time the control plane is told of, once it has lasted. */
export const signalNames = [
  'no-read',
  'slow-disk',
  'apply-lag',
  'db-full',
  'fragmented',
  'disk-full',
] as const;
export type Signal = (typeof signalNames)[number];

interface Rule {
  /** How bad it is now; undefined: not known. */
  readonly value: (status: NannyStatus) => number | undefined;
  /** On above this for `onAfterMs`, off at or below `calm` for `offAfterMs`; in between it stays as it is. */
  readonly alarming: number;
  readonly calm: number;
  readonly onAfterMs: number;
  readonly offAfterMs: number;
}

/** Space does not flicker: 85 % is where remediation begins, 80 % where it has been successful (design §7). */
const space = { alarming: 0.85, calm: 0.8, onAfterMs: 0, offAfterMs: 0 };
const fragmentedBytes = 100 * 1024 * 1024;

const rules: Readonly<Record<Signal, Rule>> = {
  // Two failed looks in a row: an election alone is none of their business.
  'no-read': {
    value: (status) => (status.readProblem === undefined ? 0 : 1),
    alarming: 0.5,
    calm: 0.5,
    onAfterMs: 2_000,
    offAfterMs: 2_000,
  },
  // Nothing written is not slow: it counts as calm.
  'slow-disk': {
    value: ({ latency }) => latency && Math.max(latency.fsyncP99Ms ?? 0, latency.commitP99Ms ?? 0),
    alarming: 100,
    calm: 50,
    onAfterMs: 5_000,
    offAfterMs: 30_000,
  },
  'apply-lag': {
    value: ({ latency }) => latency?.applyLag,
    alarming: 1_000,
    calm: 100,
    onAfterMs: 5_000,
    offAfterMs: 15_000,
  },
  'db-full': {
    value: ({ self }) => (self?.dbSizeQuota === undefined ? undefined : self.dbSize / self.dbSizeQuota),
    ...space,
  },
  fragmented: {
    value: ({ self }) => {
      const free = self && self.dbSize - self.dbSizeInUse;
      return free === undefined || free < fragmentedBytes ? 0 : free / self!.dbSize;
    },
    alarming: 0.45,
    calm: 0.35,
    onAfterMs: 10_000,
    offAfterMs: 10_000,
  },
  'disk-full': {
    value: ({ disk }) => disk && 1 - disk.freeBytes / disk.totalBytes,
    ...space,
  },
};

interface State {
  on: boolean;
  /** Since when the value has been beyond the other threshold. */
  since: number | undefined;
}

/** Thresholds with hysteresis, so that a value that flickers around one does not become a storm of reports. */
export class Signals {
  readonly #states = new Map<Signal, State>(
    signalNames.map((name) => [name, { on: false, since: undefined }]),
  );

  /** The signals that are on, given one more look. */
  next(status: NannyStatus): Signal[] {
    const now = Date.parse(status.at);
    return signalNames.filter((name) => step(rules[name], this.#states.get(name)!, status, now));
  }
}

function step(rule: Rule, state: State, status: NannyStatus, now: number): boolean {
  const value = rule.value(status);
  if (value === undefined) return state.on;
  const beyond = state.on ? value <= rule.calm : value > rule.alarming;
  state.since = beyond ? (state.since ?? now) : undefined;
  const needed = state.on ? rule.offAfterMs : rule.onAfterMs;
  if (state.since !== undefined && now - state.since >= needed) {
    state.on = !state.on;
    state.since = undefined;
  }
  return state.on;
}
