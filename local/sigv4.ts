import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AwsError } from './aws/service.ts';
import type { Credential, CredentialStore } from './iam/credentials.ts';

/** What a signature says, before it is checked. */
export interface SignatureClaim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

export interface SignedRequest {
  readonly method: string;
  /** As sent, undecoded, without query. */
  readonly path: string;
  /** As sent, without `?`. */
  readonly rawQuery: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined when the service reads the body itself and checks x-amz-content-sha256. */
  readonly body: Buffer | undefined;
}

/** AWS allows a clock that is five minutes off. */
const allowedSkewMs = 5 * 60_000;

/** @throws AwsError MissingAuthenticationTokenException, IncompleteSignatureException */
export function parseClaim(headers: Readonly<Record<string, string>>): SignatureClaim {
  const authorization = headers.authorization;
  if (!authorization) {
    throw new AwsError(
      'MissingAuthenticationTokenException',
      'Request is missing Authentication Token: sign it with Signature Version 4.',
      403,
    );
  }
  const match = /^AWS4-HMAC-SHA256\s+(.*)$/s.exec(authorization);
  const fields = new Map<string, string>();
  for (const part of (match?.[1] ?? '').split(',')) {
    const at = part.indexOf('=');
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  const scope = fields.get('Credential')?.split('/') ?? [];
  const [accessKeyId, date, region, service, terminator] = scope;
  const signedHeaders = fields.get('SignedHeaders')?.split(';');
  const signature = fields.get('Signature');
  if (!accessKeyId || !date || !region || !service || scope.length !== 5 || terminator !== 'aws4_request') {
    throw incomplete("Authorization header requires 'Credential' parameter of five parts.");
  }
  if (!signedHeaders?.length) throw incomplete("Authorization header requires 'SignedHeaders' parameter.");
  if (!signature) throw incomplete("Authorization header requires 'Signature' parameter.");
  if (!signedHeaders.includes('host')) {
    throw new AwsError(
      'InvalidSignatureException',
      "'Host' must be a 'SignedHeader' in the AWS Authorization.",
      403,
    );
  }
  return { accessKeyId, date, region, service, signedHeaders, signature };
}

/** @throws AwsError as AWS answers unknown keys, wrong and late signatures */
export function verifySignature(
  request: SignedRequest,
  claim: SignatureClaim,
  options: { credentials: CredentialStore; region: string; now: number },
): Credential {
  const credential = options.credentials.find(claim.accessKeyId);
  const token = request.headers['x-amz-security-token'];
  if (!credential || credential.sessionToken !== token) {
    throw new AwsError(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
      403,
    );
  }
  if (credential.expiration && credential.expiration.getTime() <= options.now) {
    throw new AwsError('ExpiredTokenException', 'The security token included in the request is expired', 403);
  }
  if (claim.region !== options.region) {
    throw invalid(
      `Credential should be scoped to a valid region: this cloud is ${options.region}, not ${claim.region}.`,
    );
  }
  const amzDate = request.headers['x-amz-date'] ?? '';
  const signedAt = parseAmzDate(amzDate);
  if (signedAt === undefined || !amzDate.startsWith(claim.date)) {
    throw incomplete("Authorization header requires existence of a valid 'X-Amz-Date' header.");
  }
  if (Math.abs(signedAt - options.now) > allowedSkewMs) {
    throw invalid(
      `Signature ${signedAt < options.now ? 'expired' : 'not yet current'}: ${amzDate} is more than 5 min. from ${formatAmzDate(options.now)}`,
    );
  }
  const expected = signatureOf(request, claim, credential.secretAccessKey, amzDate);
  const given = Buffer.from(claim.signature);
  if (given.length !== expected.length || !timingSafeEqual(given, Buffer.from(expected))) {
    throw invalid(
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  return credential;
}

function signatureOf(request: SignedRequest, claim: SignatureClaim, secret: string, amzDate: string): string {
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, sha256(canonicalRequest(request, claim))].join('\n');
  const key = [claim.date, claim.region, claim.service, 'aws4_request'].reduce<Buffer>(
    (previous, part) => createHmac('sha256', previous).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
  return createHmac('sha256', key).update(toSign).digest('hex');
}

function canonicalRequest(request: SignedRequest, claim: SignatureClaim): string {
  const headers = claim.signedHeaders.map(
    (name) => `${name}:${(request.headers[name] ?? '').trim().replace(/\s+/g, ' ')}\n`,
  );
  return [
    request.method,
    // All services but S3 encode the path, which is encoded already, once more.
    claim.service === 's3' ? request.path : uriEscape(request.path).replace(/%2F/g, '/'),
    canonicalQuery(request.rawQuery),
    headers.join(''),
    claim.signedHeaders.join(';'),
    payloadHash(request),
  ].join('\n');
}

function payloadHash(request: SignedRequest): string {
  const declared = request.headers['x-amz-content-sha256'];
  if (request.body === undefined) return declared ?? 'UNSIGNED-PAYLOAD';
  if (declared === 'UNSIGNED-PAYLOAD' || declared?.startsWith('STREAMING-')) return declared;
  const actual = sha256(request.body);
  if (declared !== undefined && declared !== actual) {
    throw invalid("The provided 'x-amz-content-sha256' header does not match what was computed.");
  }
  return actual;
}

function canonicalQuery(rawQuery: string): string {
  return [...new URLSearchParams(rawQuery.replace(/\+/g, '%20'))]
    .map(([name, value]) => [uriEscape(name), uriEscape(value)] as const)
    .sort(([a, av], [b, bv]) => compare(a, b) || compare(av, bv))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function uriEscape(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const invalid = (message: string): AwsError => new AwsError('InvalidSignatureException', message, 403);
const incomplete = (message: string): AwsError => new AwsError('IncompleteSignatureException', message, 403);

function parseAmzDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

function formatAmzDate(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}
