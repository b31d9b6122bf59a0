import { physicalName, stableHex } from '../aws/names.ts';
import {
  type Authorization,
  AwsError,
  type Caller,
  type Provisioned,
  type ResourceProvider,
  type TemplateResource,
} from '../aws/service.ts';
import type { ConditionContext } from './conditions.ts';
import { parseDocument, type Statement } from './document.ts';
import { type Decision, evaluate } from './evaluate.ts';
import { managedPolicy } from './managed-policies.ts';
import { type Usage, UsageBook, withOrigin } from './usage.ts';

interface Role {
  readonly name: string;
  readonly arn: string;
  readonly id: string;
  readonly logicalId: string;
  readonly trust: Statement[];
  readonly tags: Readonly<Record<string, string>>;
  readonly policies: Map<string, Statement[]>;
}

/** Roles and policies of the templates, and the decisions made of them. */
export class Iam {
  readonly #accountId: string;
  readonly #region: string;
  readonly #roles = new Map<string, Role>();
  readonly #resourcePolicies = new Map<string, Statement[]>();
  /** What was asked, allowed and refused since the start. */
  readonly book: UsageBook;

  constructor(options: { accountId: string; region: string; onFirstUse?: (usage: Usage) => void }) {
    this.#accountId = options.accountId;
    this.#region = options.region;
    this.book = new UsageBook(options.onFirstUse);
  }

  /** @throws AwsError AccessDeniedException in the words of AWS */
  require(caller: Caller, authorization: Authorization, requestContext: ConditionContext = {}): void {
    const decision = this.decide(caller, authorization, requestContext);
    if (decision.effect === 'allow') {
      this.book.allowed(caller.roleArn ?? caller.principalArn, authorization, decision.allowedBy);
      return;
    }
    this.book.denied(caller.roleArn ?? caller.principalArn, authorization, decision.bySession ?? false);
    throw new AwsError(
      'AccessDeniedException',
      denial(caller.principalArn, authorization, decision),
      400,
      {},
    );
  }

  /** Identity policies and the resource's policy: one Allow is enough within an account, one Deny ends it. */
  decide(
    caller: Caller,
    authorization: Authorization,
    requestContext: ConditionContext = {},
    resourcePolicy = this.resourcePolicy(authorization.resource),
  ): Decision {
    const role = caller.roleArn ? this.#roles.get(caller.roleArn) : undefined;
    const context = { ...this.#principalContext(caller, role), ...requestContext, ...authorization.context };
    const request = { action: authorization.action, resource: authorization.resource, context };
    // Users of the local cloud are administrators; only roles come from the templates.
    const identity = caller.roleArn ? [...(role?.policies.values() ?? [])].flat() : administrator;
    const principals = principalsOf(caller);
    // A grant to the whole account only says that identity policies decide.
    const direct = resourcePolicy.filter(
      (statement) =>
        statement.effect === 'Deny' ||
        !statement.principals.every((name) => name === principals[2] || name === principals[3]),
    );
    const decision = join(evaluate(identity, request), evaluate(direct, { ...request, principals }));
    if (caller.sessionPolicy === undefined || decision.effect !== 'allow') return decision;
    const session = evaluate(caller.sessionPolicy, request);
    const { allowedBy } = decision;
    return { ...session, allowedBy, bySession: session.effect === 'implicit-deny' };
  }

  /** Whether the policy of a resource lets an AWS service in, e.g. EventBridge into a queue. */
  decideForService(service: string, authorization: Authorization): Decision {
    return evaluate(this.resourcePolicy(authorization.resource), {
      action: authorization.action,
      resource: authorization.resource,
      context: {
        'aws:SourceAccount': this.#accountId,
        'aws:SecureTransport': 'true',
        's3:TlsVersion': '1.3',
        'aws:PrincipalIsAWSService': 'true',
        ...authorization.context,
      },
      principals: [`Service:${service}`],
    });
  }

  /** @throws AwsError AccessDeniedException when the resource's policy does not let the service in */
  requireService(service: string, authorization: Authorization): void {
    const decision = this.decideForService(service, authorization);
    if (decision.effect === 'allow') {
      this.book.allowed(service, authorization);
      return;
    }
    const { action, resource } = authorization;
    const note = decision.unsupported.length ? ` (${decision.unsupported.join('; ')})` : '';
    throw new AwsError(
      'AccessDeniedException',
      `${service} is not authorized to perform: ${action} on resource: ${resource} because no resource-based policy allows it${note}`,
      403,
    );
  }

  /** @throws AwsError AccessDenied when the role does not trust the service */
  requireTrust(roleArn: string, service: string): void {
    const role = this.#roles.get(roleArn);
    const decision = role
      ? evaluate(role.trust, {
          action: 'sts:AssumeRole',
          resource: roleArn,
          context: {
            'aws:SourceAccount': this.#accountId,
            'aws:SourceArn': `arn:aws:${service.split('.')[0]?.replace('-tasks', '')}:${this.#region}:${this.#accountId}:*`,
          },
          principals: [`Service:${service}`],
        })
      : undefined;
    if (decision?.effect === 'allow') return;
    const why = role ? 'its trust policy does not allow it' : 'there is no such role';
    const note = decision?.unsupported.length ? ` (${decision.unsupported.join('; ')})` : '';
    throw new AwsError('AccessDenied', `${service} may not assume ${roleArn}: ${why}${note}.`, 403);
  }

  /**
   * A role's trust policy must allow its caller, by name or with the whole account.
   * @throws AwsError AccessDenied
   */
  requireTrustIn(caller: Caller, roleArn: string): void {
    const role = this.#roles.get(roleArn);
    const authorization = { action: 'sts:AssumeRole', resource: roleArn };
    const decision = evaluate(role?.trust ?? [], {
      ...authorization,
      context: this.#principalContext(caller, caller.roleArn ? this.#roles.get(caller.roleArn) : undefined),
      principals: principalsOf(caller),
    });
    if (decision.effect === 'allow') return;
    throw new AwsError('AccessDenied', denial(caller.principalArn, authorization, decision), 403);
  }

  setResourcePolicy(arn: string, document: unknown): void {
    this.#resourcePolicies.set(arn, [
      ...(this.#resourcePolicies.get(arn) ?? []),
      ...parseDocument(document, `the policy of ${arn}`),
    ]);
  }

  /** Takes one statement of a resource's policy away. */
  removeResourceStatement(arn: string, sid: string): void {
    const others = (this.#resourcePolicies.get(arn) ?? []).filter((statement) => statement.sid !== sid);
    this.#resourcePolicies.set(arn, others);
  }

  resourcePolicy(arn: string): readonly Statement[] {
    const role = this.#roles.get(arn);
    if (role) return role.trust;
    // Objects are covered by their bucket's policy, methods by their API's.
    const owner = /^arn:aws:(s3|execute-api):/.test(arn) ? arn.split('/')[0]! : arn;
    return this.#resourcePolicies.get(owner) ?? [];
  }

  usage(): Usage[] {
    return this.book.calls();
  }

  /** Types of the templates that IAM itself stands up. */
  provider(): ResourceProvider {
    const types = [
      'AWS::IAM::Role',
      'AWS::IAM::Policy',
      'AWS::IAM::ManagedPolicy',
      'AWS::SQS::QueuePolicy',
      'AWS::S3::BucketPolicy',
    ];
    return {
      types,
      provision: async (resource) => this.#provision(resource),
      remove: async ({ type, stack, logicalId, attributes }) => {
        if (type === 'AWS::IAM::Role') this.#roles.delete(attributes?.Arn ?? '');
        for (const role of this.#roles.values()) role.policies.delete(`${stack}/${logicalId}`);
      },
    };
  }

  #provision(resource: TemplateResource): Provisioned {
    const { properties } = resource;
    const where = `${resource.stack}/${resource.logicalId}`;
    switch (resource.type) {
      case 'AWS::IAM::Role':
        return this.#provisionRole(resource);
      case 'AWS::IAM::ManagedPolicy': {
        const name = properties.ManagedPolicyName ?? physicalName(resource);
        this.#attach(where, properties, resource.written);
        return { ref: `arn:aws:iam::${this.#accountId}:policy${properties.Path ?? '/'}${name}` };
      }
      case 'AWS::IAM::Policy':
        this.#attach(where, properties, resource.written);
        return { ref: properties.PolicyName ?? physicalName(resource) };
      case 'AWS::SQS::QueuePolicy':
        for (const url of properties.Queues as string[]) {
          const name = url.slice(url.lastIndexOf('/') + 1);
          this.setResourcePolicy(
            `arn:aws:sqs:${this.#region}:${this.#accountId}:${name}`,
            properties.PolicyDocument,
          );
        }
        return { ref: physicalName(resource) };
      default:
        this.setResourcePolicy(`arn:aws:s3:::${properties.Bucket}`, properties.PolicyDocument);
        return { ref: physicalName(resource) };
    }
  }

  #provisionRole(resource: TemplateResource): Provisioned {
    const { properties } = resource;
    const where = `${resource.stack}/${resource.logicalId}`;
    if (properties.PermissionsBoundary) {
      throw new Error(`${where}: the local cloud does not know permissions boundaries.`);
    }
    const name: string = properties.RoleName ?? physicalName(resource);
    const arn = `arn:aws:iam::${this.#accountId}:role${properties.Path ?? '/'}${name}`;
    const id = `AROA${stableHex(17, arn).toUpperCase()}`;
    // Policies that were attached to it stay: they are resources of their own.
    const attached = [...(this.#roles.get(arn)?.policies ?? [])];
    const policies = new Map(
      attached.filter(([key]) => key !== where && !key.startsWith(`${where}/`) && !key.startsWith('arn:')),
    );
    for (const [index, inline] of (properties.Policies ?? []).entries()) {
      const name = `${where}/${inline.PolicyName}`;
      const raw = resource.written?.Policies?.[index]?.PolicyDocument;
      policies.set(name, withOrigin(parseDocument(inline.PolicyDocument, name), resource.logicalId, raw));
    }
    for (const managed of (properties.ManagedPolicyArns ?? []) as string[]) {
      // Policies of the templates attach themselves by their own `Roles`.
      if (/:iam::aws:policy\//.test(managed)) policies.set(managed, managedPolicy(managed, name));
    }
    const tags = Object.fromEntries(
      ((properties.Tags ?? []) as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]),
    );
    const trust = parseDocument(properties.AssumeRolePolicyDocument, `the trust policy of ${where}`);
    this.#roles.set(arn, { name, arn, id, logicalId: resource.logicalId, trust, tags, policies });
    return { ref: name, attributes: { Arn: arn, RoleId: id } };
  }

  #attach(
    where: string,
    properties: { Roles?: string[]; Users?: string[]; Groups?: string[]; PolicyDocument: unknown },
    written: { PolicyDocument?: unknown } | undefined,
  ): void {
    const statements = parseDocument(properties.PolicyDocument, where);
    for (const role of this.#roles.values()) role.policies.delete(where);
    for (const roleName of properties.Roles ?? []) {
      const role = [...this.#roles.values()].find(({ name }) => name === roleName);
      if (!role) throw new Error(`${where}: policy for the role ${roleName}, which no template creates.`);
      role.policies.set(where, withOrigin(statements, role.logicalId, written?.PolicyDocument));
    }
    if (properties.Users?.length || properties.Groups?.length) {
      throw new Error(`${where}: the local cloud attaches policies to roles only.`);
    }
  }

  /** `<roleId>:<session>` for roles, as in `aws:userid` and in API Gateway's caller. */
  userId(caller: Caller): string {
    const role = caller.roleArn ? this.#roles.get(caller.roleArn) : undefined;
    return role
      ? `${role.id}:${caller.sessionName}`
      : `AIDA${stableHex(17, caller.principalArn).toUpperCase()}`;
  }

  #principalContext(caller: Caller, role: Role | undefined): ConditionContext {
    return {
      'aws:PrincipalArn': caller.roleArn ?? caller.principalArn,
      'aws:PrincipalAccount': caller.accountId,
      'aws:PrincipalType': caller.roleArn ? 'AssumedRole' : 'User',
      'aws:PrincipalIsAWSService': 'false',
      'aws:ViaAWSService': 'false',
      'aws:userid': this.userId(caller),
      'aws:RequestedRegion': this.#region,
      // Plain HTTP stands in for the TLS that AWS's own endpoints always speak.
      'aws:SecureTransport': 'true',
      's3:TlsVersion': '1.3',
      ...Object.fromEntries(
        Object.entries(role?.tags ?? {}).map(([key, value]) => [`aws:PrincipalTag/${key}`, value]),
      ),
    };
  }
}

const principalsOf = (caller: Caller): string[] => [
  `AWS:${caller.principalArn}`,
  `AWS:${caller.roleArn}`,
  `AWS:${caller.accountId}`,
  `AWS:arn:aws:iam::${caller.accountId}:root`,
];

const administrator = parseDocument(
  { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
  'the local administrator',
);

function join(identity: Decision, resource: Decision): Decision {
  const unsupported = [...identity.unsupported, ...resource.unsupported];
  const allowedBy = [...(identity.allowedBy ?? []), ...(resource.allowedBy ?? [])];
  const effects = [identity.effect, resource.effect];
  const effect = effects.includes('explicit-deny')
    ? 'explicit-deny'
    : effects.includes('allow')
      ? 'allow'
      : 'implicit-deny';
  return { effect, unsupported, allowedBy };
}

export function denial(
  principalArn: string,
  { action, resource }: Authorization,
  { effect, unsupported, bySession }: Decision,
): string {
  const because =
    effect === 'explicit-deny'
      ? 'with an explicit deny in a policy'
      : `because no ${bySession ? 'session' : 'identity-based'} policy allows the ${action} action`;
  const note = unsupported.length ? ` (${unsupported.join('; ')})` : '';
  return `User: ${principalArn} is not authorized to perform: ${action} on resource: ${resource} ${because}${note}`;
}
