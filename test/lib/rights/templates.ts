import { readable, withoutHash } from '../../../local/cloudformation/readable.ts';
import type { Right } from '../../../local/iam/usage.ts';
import type { Resource } from '../synth.ts';

interface Statement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string | string[];
}

const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** Every right that the templates give to a role: one action of one statement, on one of its resources. */
export function rightsOf(app: { of(type: string): Resource[] }): Right[] {
  const attached = ['AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy']
    .flatMap((type) => app.of(type))
    .flatMap(({ Properties }) =>
      list(Properties.Roles ?? []).flatMap((role) =>
        rights(withoutHash(role.Ref ?? String(role)), Properties.PolicyDocument),
      ),
    );
  const inline = app
    .of('AWS::IAM::Role')
    .flatMap(({ logicalId, Properties }) =>
      list(Properties.Policies ?? []).flatMap((policy) =>
        rights(withoutHash(logicalId), policy.PolicyDocument),
      ),
    );
  return [...attached, ...inline];
}

function rights(role: string, document: unknown): Right[] {
  const statements = list((readable(document) as { Statement: Statement | Statement[] }).Statement);
  return statements
    .filter(({ Effect }) => Effect === 'Allow')
    .flatMap(({ Sid: sid = '-', Action, Resource }) =>
      list(Action).flatMap((action) => list(Resource).map((resource) => ({ role, sid, action, resource }))),
    );
}
