import { wildcard } from '../aws/names.ts';
import { readable, withoutHash } from '../cloudformation/readable.ts';
import type { Statement } from './document.ts';

/** A call that was allowed; `count` grows with every further one. */
export interface Usage {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  count: number;
}

/** A right as the templates give it: one action of one statement, on one of its resources. */
export interface Right {
  /** Logical id of the role, without its hash. */
  readonly role: string;
  readonly sid: string;
  readonly action: string;
  /** As the template writes it, e.g. `<TableCD117FA1Arn>/index/due`. */
  readonly resource: string;
}

export interface Denial {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  /** The role would allow it, the policy of the session does not. */
  readonly bySession: boolean;
}

interface Call {
  readonly action: string;
  readonly resource: string;
}

/** What was asked of IAM since the cloud was started: calls, the rights they needed, and what was refused. */
export class UsageBook {
  readonly #calls = new Map<string, Usage>();
  readonly #rights = new Map<string, Right>();
  readonly #denials = new Map<string, Denial>();
  readonly #onFirstUse: (usage: Usage) => void;

  constructor(onFirstUse: (usage: Usage) => void = () => {}) {
    this.#onFirstUse = onFirstUse;
  }

  allowed(principal: string, { action, resource }: Call, allowedBy: readonly Statement[] = []): void {
    for (const right of allowedBy.flatMap((statement) => rightsUsed(statement, { action, resource })))
      this.#rights.set(rightName(right), right);
    const key = `${principal}\n${action}\n${resource}`;
    const known = this.#calls.get(key);
    if (known) {
      known.count += 1;
      return;
    }
    const usage = { principal, action, resource, count: 1 };
    this.#calls.set(key, usage);
    this.#onFirstUse(usage);
  }

  denied(principal: string, { action, resource }: Call, bySession: boolean): void {
    const key = `${principal}\n${action}\n${resource}`;
    this.#denials.set(key, { principal, action, resource, bySession });
  }

  calls(): Usage[] {
    return [...this.#calls.values()];
  }

  rights(): Right[] {
    return [...this.#rights.values()];
  }

  denials(): Denial[] {
    return [...this.#denials.values()];
  }
}

/**
 * Hashes of logical ids are left out: a construct that moves changes nobody's rights. Cells have the same policies, so what one
 * of them uses counts for all.
 */
export const rightName = ({ role, sid, action, resource }: Right): string =>
  `${role} ${sid} ${action} ${resource}`
    .replace(/([A-Za-z])[0-9A-F]{8}(?=[A-Z.>:])/g, '$1')
    .replace(/CellC\d+/g, 'CellC1')
    .replace(/\/c\d+\//g, '/c1/')
    .replace(/c\d+fleet/g, 'c1fleet');

/** Statements of a policy of the templates, marked with where they come from. `raw` is the document before it was resolved. */
export function withOrigin(
  statements: readonly Statement[],
  roleLogicalId: string,
  raw: unknown,
): Statement[] {
  const document = readable(raw) as { Statement?: { Resource?: string | string[]; Sid?: string } | never[] };
  const written = [document?.Statement ?? []].flat() as { Resource?: string | string[]; Sid?: string }[];
  return statements.map((statement, index) => ({
    ...statement,
    // Statements that CDK writes itself have no Sid.
    sid: written[index]?.Sid ?? '-',
    origin: { role: withoutHash(roleLogicalId), resources: [written[index]?.Resource ?? []].flat() },
  }));
}

function rightsUsed({ sid, resources, origin }: Statement, call: Call): Right[] {
  if (origin === undefined) return [];
  return resources.flatMap((pattern, index) =>
    wildcard(pattern, { question: true }).test(call.resource)
      ? [{ role: origin.role, sid, action: call.action, resource: origin.resources[index] ?? pattern }]
      : [],
  );
}
