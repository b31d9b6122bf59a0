import { AwsError } from '../../aws/service.ts';
import { document } from '../../aws/xml.ts';
import type { Bucket } from './bucket.ts';

const pageSize = 1000;

/** ListObjectsV2. */
export function listObjects(bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const limit = Math.min(Number(query.get('max-keys') ?? pageSize), pageSize);
  if (!Number.isInteger(limit) || limit < 0) throw new AwsError('InvalidArgument', 'max-keys is not valid.');
  const encode = encoder(query);
  const after =
    token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();

  const contents = [];
  const prefixes = new Set<string>();
  let last = after;
  let truncated = false;
  for (const key of [...bucket.objects.keys()].sort(byBytes)) {
    const group = groupOf(key, prefix, delimiter);
    if (
      !key.startsWith(prefix) ||
      byBytes(key, after) <= 0 ||
      (group !== undefined && after.startsWith(group))
    ) {
      continue;
    }
    if (group !== undefined && prefixes.has(group)) continue;
    if (contents.length + prefixes.size >= limit) {
      truncated = limit > 0;
      break;
    }
    last = group ?? key;
    if (group !== undefined) prefixes.add(group);
    else {
      const object = bucket.objects.get(key)!;
      contents.push({
        Key: encode(key),
        LastModified: object.modifiedAt,
        ETag: `"${object.etag}"`,
        Size: object.size,
        StorageClass: 'STANDARD',
      });
    }
  }
  return document('ListBucketResult', {
    Name: bucket.settings.name,
    Prefix: encode(prefix),
    Delimiter: delimiter === '' ? undefined : encode(delimiter),
    MaxKeys: limit,
    EncodingType: query.get('encoding-type') ?? undefined,
    KeyCount: contents.length + prefixes.size,
    IsTruncated: truncated,
    ContinuationToken: token ?? undefined,
    NextContinuationToken: truncated ? Buffer.from(last).toString('base64url') : undefined,
    StartAfter: query.has('start-after') ? encode(query.get('start-after')!) : undefined,
    Contents: contents,
    CommonPrefixes: [...prefixes].map((one) => ({ Prefix: encode(one) })),
  });
}

/** ListObjectVersions, in one page. */
export function listVersions(bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const encode = encoder(query);
  const keys = new Set([...bucket.objects.keys(), ...[...bucket.former.values()].map(({ key }) => key)]);
  const wanted = [...keys].filter((key) => key.startsWith(prefix)).sort(byBytes);
  const versions = wanted.flatMap((key) => {
    const newest = bucket.objects.get(key);
    return [...(newest ? [newest] : []), ...bucket.formerOf(key)].map((version, index) => ({
      name: 'marker' in version ? 'DeleteMarker' : 'Version',
      content: {
        Key: encode(key),
        VersionId: version.versionId ?? 'null',
        IsLatest: index === 0,
        LastModified: version.modifiedAt,
        ...('marker' in version
          ? {}
          : { ETag: `"${version.etag}"`, Size: version.size, StorageClass: 'STANDARD' }),
      },
    }));
  });
  const named = (name: string) => versions.filter((one) => one.name === name).map(({ content }) => content);
  return document('ListVersionsResult', {
    Name: bucket.settings.name,
    Prefix: encode(prefix),
    MaxKeys: versions.length,
    EncodingType: query.get('encoding-type') ?? undefined,
    IsTruncated: false,
    Version: named('Version'),
    DeleteMarker: named('DeleteMarker'),
  });
}

/** ListMultipartUploads, in one page: a local cloud has few. */
export function listUploads(bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const encode = encoder(query);
  const uploads = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix))
    .sort((a, b) => byBytes(a.key, b.key) || (a.startedAt < b.startedAt ? -1 : 1));
  return document('ListMultipartUploadsResult', {
    Bucket: bucket.settings.name,
    Prefix: encode(prefix),
    EncodingType: query.get('encoding-type') ?? undefined,
    MaxUploads: uploads.length,
    IsTruncated: false,
    Upload: uploads.map((upload) => ({
      Key: encode(upload.key),
      UploadId: upload.id,
      Initiated: upload.startedAt,
      StorageClass: 'STANDARD',
    })),
  });
}

/** The common prefix that a key is shown under, if any. */
function groupOf(key: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '') return undefined;
  const end = key.indexOf(delimiter, prefix.length);
  return end < 0 ? undefined : key.slice(0, end + delimiter.length);
}

function encoder(query: URLSearchParams): (text: string) => string {
  return query.get('encoding-type') === 'url'
    ? (text) => encodeURIComponent(text).replaceAll('%2F', '/')
    : (text) => text;
}

/** S3 orders keys by their UTF-8 bytes. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
