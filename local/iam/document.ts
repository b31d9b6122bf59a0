/** A policy document, in one shape: lists everywhere. */
export interface Statement {
  readonly sid: string;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
  readonly resources: readonly string[];
  readonly notResources: readonly string[];
  /** `*`, `AWS:<arn>` or `Service:<name>`; empty in identity policies. */
  readonly principals: readonly string[];
  readonly conditions: readonly Condition[];
  /** The role of the templates that has it and its resources as the template writes them; see usage.ts. */
  readonly origin?: { readonly role: string; readonly resources: readonly string[] };
}

export interface Condition {
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: documents come from templates; every member used is checked here
type Raw = any;

/** @throws Error that names the element that this cloud does not know */
export function parseDocument(raw: Raw, where: string): Statement[] {
  return list(raw?.Statement).map((statement: Raw, index) => {
    const name = `statement ${statement.Sid ?? index} of ${where}`;
    for (const element of Object.keys(statement)) {
      if (!known.has(element))
        throw new Error(`${name}: the local cloud does not know the element ${element}.`);
    }
    if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny')
      throw new Error(`${name}: Effect is missing.`);
    return {
      sid: String(statement.Sid ?? index),
      effect: statement.Effect,
      actions: list(statement.Action),
      notActions: list(statement.NotAction),
      resources: list(statement.Resource),
      notResources: list(statement.NotResource),
      principals: principals(statement.Principal),
      conditions: Object.entries(statement.Condition ?? {}).flatMap(([operator, keys]) =>
        Object.entries(keys as Record<string, Raw>).map(([key, values]) => ({
          operator,
          key,
          values: list(values).map(String),
        })),
      ),
    };
  });
}

const known = new Set([
  'Sid',
  'Effect',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Principal',
  'Condition',
]);

function principals(raw: Raw): string[] {
  if (raw === undefined) return [];
  if (typeof raw === 'string') return [raw];
  return Object.entries(raw as Record<string, Raw>).flatMap(([kind, names]) =>
    list(names).map((name) => (name === '*' ? '*' : `${kind}:${name}`)),
  );
}

function list(raw: Raw): Raw[] {
  return raw === undefined ? [] : Array.isArray(raw) ? raw : [raw];
}
