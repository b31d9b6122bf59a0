import * as z from 'zod';
import type { Authority } from './env.ts';
import { ApiError } from './problem.ts';

const requestId = z.string().min(1);
/** What the HTTP API (payload version 2) says of a request that its IAM authoriser has let through. */
const iamSchema = z.object({
  requestId,
  authorizer: z.object({ iam: z.object({ userArn: z.string().min(1) }) }),
});
/** The same of its JWT authoriser. Claims are text there: of a list `["a","b"]` it makes `[a b]`. */
const jwtSchema = z.object({
  requestId,
  authorizer: z.object({ jwt: z.object({ claims: z.record(z.string(), z.unknown()) }) }),
});

export interface Caller {
  /** Who it is: the ARN of the principal that signed, or `<issuer>#<subject>` of a token. */
  readonly arn: string;
  readonly requestId: string;
  /** What it may touch, as far as that is decided here. */
  readonly authority: CallerAuthority;
}

export type CallerAuthority =
  /** IAM has decided by the path, or the token gives authority over everything. */
  | { readonly kind: 'all' }
  /** Ids of tenants; one that ends with `*` means all that begin so. */
  | { readonly kind: 'tenants'; readonly tenants: readonly string[]; readonly rule: TokenRule };
type TokenRule = Extract<Authority, { kind: 'jwt' }>;

/**
 * Only the authoriser of the deployment is believed: an event that carries another one's word, or both, is nobody's.
 * @param environment hono's environment: the Lambda event
 * @throws ApiError `unauthenticated` when it has not spoken: the API never works for an unknown caller
 */
export function callerOf(environment: unknown, authority: Authority): Caller {
  const context = (environment as { event?: { requestContext?: unknown } } | undefined)?.event
    ?.requestContext;
  if (authority.kind === 'iam') {
    const parsed = iamSchema.safeParse(context);
    if (!parsed.success) {
      throw new ApiError(
        'unauthenticated',
        'The request is not signed. Sign it with SigV4 (service execute-api).',
      );
    }
    const { requestId, authorizer } = parsed.data;
    return { arn: authorizer.iam.userArn, requestId, authority: { kind: 'all' } };
  }
  const parsed = jwtSchema.safeParse(context);
  const claims = parsed.data?.authorizer.jwt.claims ?? {};
  if (!parsed.success || typeof claims.sub !== 'string' || claims.sub === '') {
    throw new ApiError(
      'unauthenticated',
      'The request carries no token that says whose it is. Send "Authorization: Bearer <token>" with a token that has the claim "sub".',
    );
  }
  return {
    arn: `${String(claims.iss)}#${claims.sub}`,
    requestId: parsed.data.requestId,
    authority: authorityOf(claims, authority),
  };
}

function authorityOf(claims: Readonly<Record<string, unknown>>, rule: TokenRule): CallerAuthority {
  const scopes = [...words(claims.scope), ...words(claims.scp)];
  if (scopes.includes(rule.adminScope)) return { kind: 'all' };
  return { kind: 'tenants', tenants: words(claims[rule.tenantsClaim]), rule };
}

/** `a b`, `a,b`, `[a b]`, `["a","b"]` and a list of them: issuers and gateways write lists in all of these ways. */
function words(claim: unknown): string[] {
  if (Array.isArray(claim)) return claim.flatMap(words);
  if (typeof claim !== 'string') return [];
  return claim
    .replace(/^\[|\]$/g, '')
    .split(/[\s,]+/)
    .flatMap((word) => {
      const plain = word.replace(/^"|"$/g, '');
      return plain === '' ? [] : [plain];
    });
}

/** For answers to requests whose caller is unknown. */
export function requestIdOf(environment: unknown): string {
  const parsed = z
    .object({ event: z.object({ requestContext: z.object({ requestId: z.string() }) }) })
    .safeParse(environment);
  return parsed.success ? parsed.data.event.requestContext.requestId : 'unknown';
}
