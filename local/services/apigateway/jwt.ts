import { createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';
import { AwsError } from '../../aws/service.ts';

/** AWS::ApiGatewayV2::Authorizer of type JWT. */
export interface JwtAuthorizer {
  /** The proven claims. @throws AwsError 401 `UnauthorizedException` */
  check(authorization: string | undefined): Promise<Claims>;
}
export type Claims = Readonly<Record<string, unknown>>;

/** API Gateway's HTTP APIs know RSA only; `none`, HMAC and elliptic curves are refused. */
const digests: Readonly<Record<string, string>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };
const fetchTimeoutMs = 5_000;

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly now: () => number;
  readonly fetch: typeof fetch;
}

export function jwtAuthorizer({ issuer, audience, now, fetch }: JwtOptions): JwtAuthorizer {
  let known = new Map<string, KeyObject>();

  async function keyOf(kid: string): Promise<KeyObject> {
    // A key that is not known may be new: API Gateway too asks the issuer again then.
    if (!known.has(kid)) known = await keysOf(issuer, fetch);
    const key = known.get(kid);
    if (key === undefined) throw refuse('signature verification failed');
    return key;
  }

  return {
    async check(authorization) {
      const token = authorization?.replace(/^Bearer /i, '').trim() ?? '';
      if (token === '') throw refuse();
      const parts = token.split('.');
      const [header, claims] = [decode(parts[0]), decode(parts[1])];
      if (parts.length !== 3 || header === undefined || claims === undefined)
        throw refuse('the token is malformed');
      const digest = digests[String(header.alg)];
      if (digest === undefined) throw refuse('signing method is invalid');
      if (typeof header.kid !== 'string') throw refuse('the token has no kid');
      const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
      if (!verify(digest, signed, await keyOf(header.kid), Buffer.from(parts[2]!, 'base64url')))
        throw refuse('signature verification failed');
      requireClaims(claims, issuer, audience, now() / 1000);
      return claims;
    },
  };
}

function requireClaims(claims: Claims, issuer: string, audience: readonly string[], seconds: number): void {
  if (claims.iss !== issuer) throw refuse('the token has an invalid issuer');
  const meant = claims.aud === undefined ? [claims.client_id] : [claims.aud].flat();
  if (!meant.some((each) => audience.includes(String(each))))
    throw refuse('the token does not have a valid audience');
  if (typeof claims.exp !== 'number' || claims.exp <= seconds) throw refuse('the token has expired');
  for (const claim of ['nbf', 'iat']) {
    const time = claims[claim];
    if (time !== undefined && !(typeof time === 'number' && time <= seconds))
      throw refuse('the token is not valid yet');
  }
}

async function keysOf(issuer: string, fetch: JwtOptions['fetch']): Promise<Map<string, KeyObject>> {
  const read = async (url: string): Promise<Record<string, unknown>> => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(fetchTimeoutMs) });
    return (await answer.json()) as Record<string, unknown>;
  };
  try {
    const discovery = await read(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    const { keys = [] } = await read(String(discovery.jwks_uri));
    const usable = (keys as (JsonWebKey & { kid?: string })[]).filter(({ kty, kid }) => kty === 'RSA' && kid);
    return new Map(usable.map((key) => [key.kid!, createPublicKey({ key, format: 'jwk' })]));
  } catch {
    throw refuse('the keys of the issuer could not be read');
  }
}

/** As the integration is told of them: every claim is text, a list is its words in brackets. */
export const claimTexts = (claims: Claims): Record<string, string> =>
  Object.fromEntries(
    Object.entries(claims).map(([name, value]) => [
      name,
      Array.isArray(value)
        ? `[${value.join(' ')}]`
        : typeof value === 'object'
          ? JSON.stringify(value)
          : String(value),
    ]),
  );

function decode(part: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function refuse(why?: string): AwsError {
  const told =
    why === undefined ? 'Bearer' : `Bearer scope="" error="invalid_token" error_description="${why}"`;
  return new AwsError('UnauthorizedException', 'Unauthorized', 401, { 'www-authenticate': told });
}
