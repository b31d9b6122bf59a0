import {
  type Authorization,
  AwsError,
  type Caller,
  type CloudContext,
  type RawRequest,
  type RawResponse,
  type RawService,
} from '../../aws/service.ts';
import { blocks, document, element, texts } from '../../aws/xml.ts';
import type { Bucket } from './bucket.ts';
import { listObjects, listUploads, listVersions } from './listing.ts';
import { abortUpload, completeUpload, createUpload, listParts, smallBody, uploadPart } from './multipart.ts';
import { deleteObject, getObject, putObject } from './objects.ts';

/** Operation and the action that IAM has to allow for it, by method and query. */
const bucketRoutes = [
  { method: 'GET', flag: 'versions', operation: 'ListObjectVersions', action: 's3:ListBucketVersions' },
  { method: 'GET', flag: 'list-type', operation: 'ListObjectsV2', action: 's3:ListBucket' },
  {
    method: 'GET',
    flag: 'uploads',
    operation: 'ListMultipartUploads',
    action: 's3:ListBucketMultipartUploads',
  },
  { method: 'POST', flag: 'delete', operation: 'DeleteObjects', action: 's3:DeleteObject' },
  { method: 'HEAD', flag: undefined, operation: 'HeadBucket', action: 's3:ListBucket' },
] as const;
const objectRoutes = [
  { method: 'POST', flag: 'uploads', operation: 'CreateMultipartUpload', action: 's3:PutObject' },
  { method: 'POST', flag: 'uploadId', operation: 'CompleteMultipartUpload', action: 's3:PutObject' },
  { method: 'PUT', flag: 'uploadId', operation: 'UploadPart', action: 's3:PutObject' },
  {
    method: 'DELETE',
    flag: 'uploadId',
    operation: 'AbortMultipartUpload',
    action: 's3:AbortMultipartUpload',
  },
  { method: 'GET', flag: 'uploadId', operation: 'ListParts', action: 's3:ListMultipartUploadParts' },
  { method: 'GET', flag: undefined, operation: 'GetObject', action: 's3:GetObject' },
  { method: 'HEAD', flag: undefined, operation: 'HeadObject', action: 's3:GetObject' },
  { method: 'PUT', flag: undefined, operation: 'PutObject', action: 's3:PutObject' },
  { method: 'DELETE', flag: undefined, operation: 'DeleteObject', action: 's3:DeleteObject' },
] as const;

/** Sub-resources that would change the meaning of a request and that we do not have. */
const unknownFlags = [
  'acl',
  'tagging',
  'versions',
  'policy',
  'torrent',
  'retention',
  'legal-hold',
  'attributes',
  'partNumber',
];

type Route = (typeof bucketRoutes)[number] | (typeof objectRoutes)[number];
type Target = { route: Route; bucket: string; key: string };

export function s3Service(
  buckets: ReadonlyMap<string, Bucket>,
  context: Pick<CloudContext, 'region' | 'authorize'>,
): RawService {
  const find = (name: string): Bucket => {
    const bucket = buckets.get(name);
    if (bucket !== undefined) return bucket;
    throw new AwsError('NoSuchBucket', 'The specified bucket does not exist', 404, { BucketName: name });
  };
  return {
    kind: 'raw',
    name: 's3',
    streamsBody: true,
    describe(request) {
      const target = route(request);
      return {
        operation: target.route.operation,
        authorizations: [
          ...authorizations(target, request),
          ...keyAuthorizations(target, buckets.get(target.bucket), context.region),
        ],
      };
    },
    async handle(request, caller) {
      const { route: found, bucket: name, key } = route(request);
      const bucket = find(name);
      switch (found.operation) {
        case 'ListObjectsV2':
          return xml(listObjects(bucket, request.query));
        case 'ListObjectVersions':
          return xml(listVersions(bucket, request.query));
        case 'ListMultipartUploads':
          return xml(listUploads(bucket, request.query));
        case 'HeadBucket':
          return { status: 200, headers: { 'x-amz-bucket-region': context.region } };
        case 'DeleteObjects':
          return await deleteObjects(bucket, request, caller, context);
        case 'CreateMultipartUpload':
          return createUpload(bucket, key, request);
        case 'UploadPart':
          return await uploadPart(bucket, key, request);
        case 'CompleteMultipartUpload':
          return await completeUpload(bucket, key, request);
        case 'AbortMultipartUpload':
          return abortUpload(bucket, key, request);
        case 'ListParts':
          return listParts(bucket, key, request);
        case 'PutObject':
          return await putObject(bucket, key, request);
        case 'GetObject':
        case 'HeadObject':
          if (!bucket.objects.has(key) && !request.query.has('versionId'))
            mayKnowOfAbsence(bucket, key, caller, context);
          return getObject(bucket, key, request);
        case 'DeleteObject':
          return deleteObject(bucket, key, request);
      }
    },
    renderError: (error) => ({
      status: error.status,
      headers: { 'content-type': 'application/xml' },
      body: element('Error', {
        Code: error.code,
        Message: error.message,
        ...(error.details as Record<string, string>),
      }),
    }),
  };
}

function route(request: RawRequest): Target {
  const [, bucket = '', ...rest] = request.path.split('/');
  const key = decodeURIComponent(rest.join('/'));
  const routes: readonly Route[] = key === '' ? bucketRoutes : objectRoutes;
  const found = routes.find(
    ({ method, flag }) => method === request.method && (flag === undefined || request.query.has(flag)),
  );
  const meant = found?.operation === 'UploadPart' || found?.operation === 'ListObjectVersions';
  const flag = meant ? undefined : unknownFlags.find((one) => request.query.has(one));
  if (bucket === '' || found === undefined || flag !== undefined || 'x-amz-copy-source' in request.headers) {
    const what = `${request.method} /${bucket}${key === '' ? '' : '/<key>'}${flag === undefined ? '' : `?${flag}`}`;
    throw new AwsError('NotImplemented', `The local cloud's S3 does not do ${what}.`, 501);
  }
  return { route: found, bucket: decodeURIComponent(bucket), key };
}

const bucketArn = (bucket: string): string => `arn:aws:s3:::${bucket}`;

function authorizations({ route: found, bucket, key }: Target, request: RawRequest): Authorization[] {
  // Asked for each key that the body names, once it is read.
  if (found.operation === 'DeleteObjects') return [];
  if (key !== '') {
    const resource = `${bucketArn(bucket)}/${key}`;
    // A right to objects is no right to their former versions.
    const ofVersion = request.query.has('versionId') && /^s3:(Get|Delete)Object$/.test(found.action);
    const bypass = request.headers['x-amz-bypass-governance-retention'] === 'true';
    return [
      { action: ofVersion ? `${found.action}Version` : found.action, resource },
      ...(bypass ? [{ action: 's3:BypassGovernanceRetention', resource }] : []),
    ];
  }
  const names = ['prefix', 'delimiter'].filter((name) => request.query.has(name));
  const context = Object.fromEntries(names.map((name) => [`s3:${name}`, request.query.get(name)!]));
  return [{ action: found.action, resource: bucketArn(bucket), context }];
}

/** S3 uses the bucket's KMS key with the rights of its caller. */
function keyAuthorizations(
  { route: found, key }: Target,
  bucket: Bucket | undefined,
  region: string,
): Authorization[] {
  const resource = bucket?.settings.kmsKeyArn;
  if (bucket === undefined || resource === undefined || key === '') return [];
  const context = {
    'kms:ViaService': `s3.${region}.amazonaws.com`,
    'kms:EncryptionContext:aws:s3:arn': bucketArn(bucket.settings.name),
    'kms:EncryptionContextKeys': ['aws:s3:arn'],
  };
  const decrypt = { action: 'kms:Decrypt', resource, context };
  const generate = { action: 'kms:GenerateDataKey', resource, context };
  switch (found.operation) {
    case 'GetObject':
    case 'HeadObject':
    case 'CompleteMultipartUpload':
      return [decrypt];
    case 'PutObject':
    case 'CreateMultipartUpload':
      return [generate];
    case 'UploadPart':
      return [generate, decrypt];
    default:
      return [];
  }
}

/** Who may not list the bucket is not told that a key is missing, but that access is denied: a well-known trap. */
function mayKnowOfAbsence(
  bucket: Bucket,
  key: string,
  caller: Caller,
  context: Pick<CloudContext, 'authorize'>,
): void {
  try {
    context.authorize(caller, {
      action: 's3:ListBucket',
      resource: bucketArn(bucket.settings.name),
      context: { 's3:prefix': key },
    });
  } catch (error) {
    throw asAccessDenied(error);
  }
}

async function deleteObjects(
  bucket: Bucket,
  request: RawRequest,
  caller: Caller,
  context: Pick<CloudContext, 'authorize'>,
): Promise<RawResponse> {
  const body = await smallBody(request);
  const quiet = texts(body, 'Quiet')[0] === 'true';
  if (texts(body, 'VersionId').length > 0) {
    throw new AwsError(
      'NotImplemented',
      'DeleteObjects of versions is not done here: delete one by one.',
      501,
    );
  }
  const keys = blocks(body, 'Object').map((block) => texts(block, 'Key')[0] ?? '');
  if (keys.length > 1000) throw new AwsError('MalformedXML', 'DeleteObjects takes at most 1000 keys.');
  const deleted: { Key: string; DeleteMarker?: boolean; DeleteMarkerVersionId?: string }[] = [];
  const errors: { Key: string; Code: string; Message: string }[] = [];
  for (const key of keys) {
    try {
      const resource = `${bucketArn(bucket.settings.name)}/${key}`;
      context.authorize(caller, { action: 's3:DeleteObject', resource });
      const marker = bucket.remove(key);
      const told = marker === undefined ? {} : { DeleteMarker: true, DeleteMarkerVersionId: marker };
      if (!quiet) deleted.push({ Key: key, ...told });
    } catch (error) {
      const { code, message } = asAccessDenied(error);
      errors.push({ Key: key, Code: code, Message: message });
    }
  }
  return xml(document('DeleteResult', { Deleted: deleted, Error: errors }));
}

/** S3 has its own name for the error of IAM. */
function asAccessDenied(error: unknown): AwsError {
  if (error instanceof AwsError) return new AwsError('AccessDenied', error.message, 403);
  throw error;
}

function xml(body: string): RawResponse {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body };
}
