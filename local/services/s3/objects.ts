import { AwsError, type RawRequest, type RawResponse } from '../../aws/service.ts';
import type { Bucket, StoredObject } from './bucket.ts';
import { isLocked, isMarker } from './versions.ts';

const keptHeaders =
  /^(content-type|content-disposition|content-language|cache-control|expires|x-amz-meta-.+)$/;

/** What of a write's headers a read gives back. */
export function storedHeaders(request: RawRequest): Record<string, string> {
  const kept = Object.entries(request.headers).filter(([name]) => keptHeaders.test(name));
  const encoding = request.headers['content-encoding']
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== 'aws-chunked' && part !== '')
    .join(', ');
  return { ...Object.fromEntries(kept), ...(encoding ? { 'content-encoding': encoding } : {}) };
}

export function writeHeaders(bucket: Bucket, object: StoredObject): Record<string, string> {
  const { kmsKeyArn } = bucket.settings;
  return {
    etag: `"${object.etag}"`,
    ...(object.versionId === undefined ? {} : { 'x-amz-version-id': object.versionId }),
    ...(object.checksum === undefined
      ? {}
      : {
          [`x-amz-checksum-${object.checksum.algorithm}`]: object.checksum.value,
          'x-amz-checksum-type': object.checksum.value.includes('-') ? 'COMPOSITE' : 'FULL_OBJECT',
        }),
    ...(kmsKeyArn === undefined
      ? { 'x-amz-server-side-encryption': 'AES256' }
      : {
          'x-amz-server-side-encryption': 'aws:kms',
          'x-amz-server-side-encryption-aws-kms-key-id': kmsKeyArn,
        }),
  };
}

/** The newest, or the version that is asked for. */
function objectOf(bucket: Bucket, key: string, request: RawRequest): StoredObject {
  const versionId = request.query.get('versionId');
  const newest = bucket.objects.get(key);
  if (versionId === null || newest?.versionId === versionId) {
    if (newest !== undefined) return newest;
    throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404, { Key: key });
  }
  const former = bucket.formerOf(key).find((version) => version.versionId === versionId);
  if (former === undefined) {
    throw new AwsError('NoSuchVersion', 'The specified version does not exist.', 404, { Key: key });
  }
  if (!isMarker(former)) return former;
  throw new AwsError('MethodNotAllowed', 'The specified method is not allowed against this resource.', 405);
}

/** @throws AwsError AccessDenied for a version under Object Lock */
export function deleteObject(bucket: Bucket, key: string, request: RawRequest): RawResponse {
  const versionId = request.query.get('versionId');
  if (versionId === null) {
    const marker = bucket.remove(key);
    if (marker === undefined) return { status: 204 };
    return { status: 204, headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': marker } };
  }
  const found = [bucket.objects.get(key), ...bucket.formerOf(key)].find(
    (one) => one?.versionId === versionId,
  );
  const bypassed = request.headers['x-amz-bypass-governance-retention'] === 'true';
  if (found !== undefined && isLocked(found, Date.now()) && !bypassed) {
    throw new AwsError('AccessDenied', 'Access Denied because object protected by object lock.', 403);
  }
  bucket.removeVersion(key, versionId);
  return { status: 204, headers: { 'x-amz-version-id': versionId } };
}

/** S3 takes nothing into a bucket that locks by default whose arrival it cannot verify. */
export function checkLockedWrite(bucket: Bucket, request: RawRequest): void {
  if (bucket.settings.lockDays === undefined) return;
  const sums = /^(content-md5|x-amz-sdk-checksum-algorithm|x-amz-trailer|x-amz-checksum-.+)$/;
  if (Object.keys(request.headers).some((name) => sums.test(name))) return;
  throw new AwsError(
    'InvalidRequest',
    'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  );
}

export async function putObject(bucket: Bucket, key: string, request: RawRequest): Promise<RawResponse> {
  checkLockedWrite(bucket, request);
  const { file, size, md5, checksum } = await bucket.receive(request);
  const segments = [{ file, size }];
  try {
    const headers = storedHeaders(request);
    const object = bucket.publish(request, { key, etag: md5, size, checksum, headers, segments });
    return { status: 200, headers: writeHeaders(bucket, object) };
  } catch (error) {
    bucket.discard(segments);
    throw error;
  }
}

/** GetObject and HeadObject. @throws AwsError NoSuchKey */
export function getObject(bucket: Bucket, key: string, request: RawRequest): RawResponse {
  const object = objectOf(bucket, key, request);
  const { 'if-match': match, 'if-none-match': noneMatch, range } = request.headers;
  if (match !== undefined && match.replaceAll('"', '') !== object.etag) {
    throw new AwsError(
      'PreconditionFailed',
      'At least one of the pre-conditions you specified did not hold',
      412,
    );
  }
  if (noneMatch !== undefined && noneMatch.replaceAll('"', '') === object.etag) return { status: 304 };

  const part = range === undefined ? undefined : parseRange(range, object.size);
  const from = part?.from ?? 0;
  const to = part?.to ?? object.size - 1;
  const { [`x-amz-checksum-${object.checksum?.algorithm}`]: checksum, ...headers } = writeHeaders(
    bucket,
    object,
  );
  // A checksum is of the whole object: with a part of it the client could only be misled.
  const tellChecksum = part === undefined && request.headers['x-amz-checksum-mode'] === 'ENABLED';
  return {
    status: part === undefined ? 200 : 206,
    headers: {
      'content-type': 'binary/octet-stream',
      ...object.headers,
      ...headers,
      ...(tellChecksum && checksum !== undefined
        ? { [`x-amz-checksum-${object.checksum?.algorithm}`]: checksum }
        : {}),
      'accept-ranges': 'bytes',
      'content-length': String(to - from + 1),
      'last-modified': new Date(object.modifiedAt).toUTCString(),
      ...(part === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${object.size}` }),
    },
    ...(request.method === 'HEAD' ? {} : { body: bucket.read(object, from, to) }),
  };
}

function parseRange(range: string, size: number): { from: number; to: number } | undefined {
  const parsed = /^bytes=(\d*)-(\d*)$/.exec(range);
  if (parsed === null || (parsed[1] === '' && parsed[2] === '')) return undefined;
  const [, first, last] = parsed;
  const from = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (from <= to) return { from, to };
  throw new AwsError('InvalidRange', 'The requested range is not satisfiable', 416, {
    ActualObjectSize: size,
  });
}
