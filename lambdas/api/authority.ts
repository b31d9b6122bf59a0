import type { Caller, CallerAuthority } from './caller.ts';
import { ApiError } from './problem.ts';

/** May be asked by everybody whom the gateway lets through: nothing of any tenant is in the answer. */
const open = ['/v1/versions', '/v1/openapi.json'];
/** Answers with those tenants only that the caller has authority over. */
const filtered = ['GET /v1/tenants'];

/**
 * May this caller use this route? Decided before anything of the request is read. A route that is new and names no
 * tenant in its path is for administrators, until it is put on one of the lists above.
 * @throws ApiError `not-allowed`
 */
export function requireAuthority(
  { authority }: Caller,
  route: { readonly method: string; readonly path: string },
  tenantId: string | undefined,
): void {
  if (authority.kind === 'all') return;
  if (route.path.includes('{tenantId}')) {
    requireTenantAuthority(authority, tenantId ?? '');
    return;
  }
  if (open.includes(route.path) || filtered.includes(`${route.method.toUpperCase()} ${route.path}`)) return;
  throw new ApiError(
    'not-allowed',
    `This concerns all tenants and takes a token with the scope "${authority.rule.adminScope}".`,
  );
}

/** @throws ApiError `not-allowed` */
export function requireTenantAuthority(authority: CallerAuthority, tenantId: string): void {
  if (holds(authority, tenantId)) return;
  const { tenants, rule } = authority as Extract<CallerAuthority, { kind: 'tenants' }>;
  const over = tenants.length === 0 ? 'no tenant' : tenants.slice(0, 20).join(', ');
  throw new ApiError(
    'not-allowed',
    `Your token gives authority over ${over}, and not over "${tenantId}". Get one whose claim "${rule.tenantsClaim}" names it, or with the scope "${rule.adminScope}".`,
  );
}

export function holds(authority: CallerAuthority, tenantId: string): boolean {
  if (authority.kind === 'all') return true;
  return authority.tenants.some((allowed) =>
    allowed.endsWith('*') ? tenantId.startsWith(allowed.slice(0, -1)) : allowed === tenantId,
  );
}

/**
 * IAM and this function have to mean the same path. URL parsers take `/a/../b` for `/b`; the authoriser compares the text
 * that was sent, so that a right to `/v1/tenants/acme/*` would reach every other tenant by way of `acme/../`.
 * @throws ApiError `invalid-request`
 */
export function requirePlainPath(environment: unknown): void {
  const path = (environment as { event?: { rawPath?: unknown } } | undefined)?.event?.rawPath;
  if (typeof path !== 'string' || isPlain(path)) return;
  throw new ApiError(
    'invalid-request',
    'The path of this request is not in its plain form: send it without empty, "." and ".." segments, backslashes and encoded slashes.',
  );
}

function isPlain(path: string): boolean {
  let text = path;
  for (let depth = 0; depth < 3; depth++) {
    const segments = text.split('/').slice(1);
    const last = segments.length - 1;
    if (text.includes('\\') || /[\t\r\n]/.test(text)) return false;
    if (segments.some((part, index) => part === '.' || part === '..' || (part === '' && index < last)))
      return false;
    let decoded: string;
    try {
      decoded = decodeURIComponent(text);
    } catch {
      return false;
    }
    // An encoded slash makes other segments of it than the authoriser saw.
    if (decoded.split('/').length !== text.split('/').length) return false;
    if (decoded === text) return true;
    text = decoded;
  }
  return false;
}
