import type { Denial } from '../../../local/iam/usage.ts';

/** Calls that a topic has refused on purpose, besides those of clouds whose templates it has changed. */
interface Provoked {
  readonly topic: string;
  readonly action: string;
  /** Part of the principal's ARN. */
  readonly principal?: string;
  readonly reason: string;
}

const provoked: readonly Provoked[] = [
  {
    topic: 'iam',
    action: '*',
    reason: 'takes rights away one by one',
  },
  {
    topic: 'bad-input',
    action: 'execute-api:Invoke',
    principal: 'RolesTask',
    reason: "calls the tenant API with a member's role: IAM has to refuse it",
  },
];

/** Refusals that nobody wanted: a right is missing. */
export const unprovoked = (topic: string, denials: readonly Denial[]): Denial[] =>
  denials.filter(
    ({ action, principal }) =>
      !provoked.some(
        (entry) =>
          entry.topic === topic &&
          (entry.action === '*' || entry.action === action) &&
          principal.includes(entry.principal ?? ''),
      ),
  );
