import { AwsError, type Caller, type RawRequest, type RawResponse } from '../../aws/service.ts';
import type { InvokeResult } from '../lambda/worker.ts';
import type { JwtAuthorizer } from './jwt.ts';

/** One API of either kind, as the endpoint sees it. */
export interface Api {
  readonly id: string;
  readonly kind: 'http' | 'rest';
  /** @throws AwsError when there is no such route, or the caller's place may not reach it */
  match(call: ApiCall): Route;
  invoke(call: ApiCall, route: Route, caller: Caller): Promise<RawResponse>;
}

export interface ApiCall {
  readonly request: RawRequest;
  /** Path below the API (and the stage, for REST), undecoded, with leading slash. */
  readonly path: string;
  readonly stage: string;
  readonly vpcId?: string;
  readonly vpcEndpointId?: string;
}

export interface Route {
  /** `PUT /v1/tenants/{id}` */
  readonly key: string;
  readonly resourceId?: string;
  /** `/v1/tenants/{id}` or `$default` */
  readonly resource: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly functionArn: string;
  /** Instead of a signature. */
  readonly jwt?: JwtAuthorizer;
  /** `execute-api:Invoke` on this ARN must be allowed. */
  readonly arn: string;
}

export interface ApiContext {
  readonly accountId: string;
  readonly region: string;
  userId(caller: Caller): string;
  /** @throws AwsError, ThrottledError */
  invoke(functionArn: string, event: unknown, sourceArn: string): Promise<InvokeResult>;
}

/**
 * Path parameters when `template` (`/v1/{id}/{rest+}`) fits `path`, else undefined. Values are decoded.
 * `{proxy+}` takes at least one segment.
 */
export function matchPath(template: string, path: string): Record<string, string> | undefined {
  const wanted = segments(template);
  const given = segments(path);
  const parameters: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const [, name, greedy] = /^\{([^}+]+)(\+?)\}$/.exec(part) ?? [];
    const actual = given[index];
    if (actual === undefined) return undefined;
    if (name && greedy) {
      parameters[name] = given.slice(index).map(decode).join('/');
      return parameters;
    }
    if (name) parameters[name] = decode(actual);
    else if (part !== actual) return undefined;
  }
  return given.length === wanted.length ? parameters : undefined;
}

const segments = (path: string): string[] => path.split('/').filter((part) => part !== '');

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Fixed segments before parameters before greedy ones: API Gateway picks the most specific route. */
export function specificity(template: string): string {
  const ranks = segments(template).map((part) =>
    part.endsWith('+}') ? '2' : part.startsWith('{') ? '1' : '0',
  );
  return `${ranks.join('')}9`;
}

/** `12/Mar/2026:19:03:58 +0000` */
export function apiTime(at: Date): string {
  const [, day, month, year, time] = at.toUTCString().split(' ');
  return `${day}/${month}/${year}:${time} +0000`;
}

interface ProxyResult {
  readonly statusCode?: unknown;
  readonly headers?: Record<string, unknown>;
  readonly multiValueHeaders?: Record<string, unknown[]>;
  readonly cookies?: string[];
  readonly body?: unknown;
  readonly isBase64Encoded?: boolean;
}

/** What a function answers, as HTTP; undefined when it has not the shape of a proxy answer. */
export function proxyResponse(payload: unknown, defaultType: string): RawResponse | undefined {
  const result = payload as ProxyResult | null;
  const status = Number(result?.statusCode);
  if (!result || !Number.isInteger(status) || status < 100 || status > 599) return undefined;
  const headers: Record<string, string> = { 'content-type': defaultType };
  for (const [name, value] of Object.entries(result.headers ?? {}))
    headers[name.toLowerCase()] = String(value);
  for (const [name, values] of Object.entries(result.multiValueHeaders ?? {}))
    headers[name.toLowerCase()] = values.join(',');
  if (result.cookies?.length) headers['set-cookie'] = result.cookies.join(', ');
  const body = result.body ?? '';
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status, headers, body: result.isBase64Encoded ? Buffer.from(text, 'base64') : text };
}

export function message(status: number, text: string): RawResponse {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message: text }),
  };
}

/** API Gateway keeps what proves the caller to itself. */
export function forwardedHeaders(request: RawRequest): Record<string, string> {
  const { authorization: _a, 'x-amz-security-token': _t, connection: _c, ...headers } = request.headers;
  return headers;
}

/** Text bodies go to the function as they are, others in base64. */
export function proxyBody(request: RawRequest): { body: string; isBase64Encoded: boolean } {
  const text = request.body.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(request.body);
  return { body: isText ? text : request.body.toString('base64'), isBase64Encoded: !isText };
}

/** ARN of the function in an integration's URI, which is either that ARN or API Gateway's path to it. */
export function functionArnOf(uri: string): string {
  const match = /(arn:aws:lambda:[^/]+:function:[^/:]+)/.exec(uri);
  if (!match) throw new AwsError('BadRequestException', `${uri} is no Lambda function`);
  return match[1]!;
}
