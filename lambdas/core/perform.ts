import type { TenantRecord } from './model/tenant.ts';
import type { Mutation, Observation, Step, StepKind } from './step.ts';

/** What doing a step came to. */
export interface Outcome {
  /** For people, past tense. */
  readonly message: string;
  /** Timeline: `decided` for a choice, `none` for what only its operation tells of, else `done`. */
  readonly event?: 'decided' | 'done' | 'none';
  readonly mutate?: Mutation;
  /**
   * `mutate` only writes down what now exists outside. It is saved even when the tenant became another function's
   * duty in the meantime (deleted, say), so that that function finds it.
   */
  readonly recordsWhatExists?: boolean;
  /**
   * The world does not let it happen yet (etcd refuses changes for a few seconds, a learner is behind): told as what
   * the operation waits for, tried again, never a failure. Nothing is saved.
   */
  readonly notYet?: string;
  /** Part of the step failed; `mutate` keeps what succeeded, the rest is tried again after the back-off. */
  readonly failure?: string;
}

export interface PerformContext {
  readonly tenant: TenantRecord;
  readonly observation: Observation;
  readonly now: Date;
}

type Performer<K extends StepKind> = (
  step: Extract<Step, { kind: K }>,
  context: PerformContext,
) => Promise<Outcome>;

/** The steps that a function can do. Each is idempotent and touches the world only through ports. */
export type Performers = { readonly [K in StepKind]?: Performer<K> };

export async function perform(performers: Performers, step: Step, context: PerformContext): Promise<Outcome> {
  const performer = performers[step.kind] as Performer<StepKind> | undefined;
  if (performer === undefined) throw new Error(`This function cannot do the step ${step.kind}.`);
  return performer(step, context);
}
