import { isIP } from 'node:net';

/** Where the objects of a bucket are, without a slash at the end. */
export interface BucketAddress {
  readonly origin: string;
  /** `/bucket` when the bucket is part of the path. */
  readonly pathPrefix: string;
}

/**
 * As the AWS SDKs decide it: the bucket is part of the host name, but of the path where a host name cannot carry it (an
 * IP address, a bucket with dots, which no wildcard certificate covers).
 * @param endpoint AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, if set
 */
export function bucketAddress(bucket: string, region: string, endpoint: string | undefined): BucketAddress {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const base = new URL(endpoint ?? `https://s3.${region}.${suffix}`);
  const host = base.hostname.replace(/^\[|\]$/g, '');
  const path = base.pathname.replace(/\/$/, '');
  if (isIP(host) !== 0 || host === 'localhost' || bucket.includes('.')) {
    return { origin: base.origin, pathPrefix: `${path}/${bucket}` };
  }
  return { origin: `${base.protocol}//${bucket}.${base.host}`, pathPrefix: path };
}
