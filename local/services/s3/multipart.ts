import { createHash, randomBytes } from 'node:crypto';
import { AwsError, type RawRequest, type RawResponse } from '../../aws/service.ts';
import { blocks, document, texts } from '../../aws/xml.ts';
import { type Checksum, checksumAlgorithms, compositeChecksum, receiveBody } from './body.ts';
import type { Bucket, Part, Upload } from './bucket.ts';
import { checkLockedWrite, storedHeaders, writeHeaders } from './objects.ts';

const smallestPart = 5 * 1024 * 1024;

export function createUpload(bucket: Bucket, key: string, request: RawRequest): RawResponse {
  const algorithm = request.headers['x-amz-checksum-algorithm'];
  const upload: Upload = {
    id: randomBytes(24).toString('base64url'),
    key,
    startedAt: new Date().toISOString(),
    headers: storedHeaders(request),
    parts: {},
  };
  bucket.saveUpload(upload);
  return {
    status: 200,
    headers: {
      'content-type': 'application/xml',
      ...(algorithm === undefined
        ? {}
        : { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': 'COMPOSITE' }),
    },
    body: document('InitiateMultipartUploadResult', {
      Bucket: bucket.settings.name,
      Key: key,
      UploadId: upload.id,
    }),
  };
}

export async function uploadPart(bucket: Bucket, key: string, request: RawRequest): Promise<RawResponse> {
  const upload = findUpload(bucket, key, request);
  const number = Number(request.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > 10_000) {
    throw new AwsError('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
  }
  checkLockedWrite(bucket, request);
  const { md5, ...received } = await bucket.receive(request);
  if (bucket.uploads.get(upload.id) === undefined) {
    bucket.discard([received]);
    throw noSuchUpload();
  }
  const replaced = upload.parts[number];
  const part: Part = { ...received, number, etag: md5, modifiedAt: new Date().toISOString() };
  upload.parts[number] = part;
  bucket.saveUpload(upload);
  if (replaced !== undefined) bucket.discard([replaced]);
  return { status: 200, headers: { etag: `"${part.etag}"`, ...checksumHeader(part.checksum) } };
}

export async function completeUpload(bucket: Bucket, key: string, request: RawRequest): Promise<RawResponse> {
  const upload = findUpload(bucket, key, request);
  const parts = chosenParts(upload, await smallBody(request));
  const binary = createHash('md5');
  for (const part of parts) binary.update(Buffer.from(part.etag, 'hex'));
  const checksums = parts.map((part) => part.checksum).filter((sum) => sum !== undefined);
  const object = bucket.publish(request, {
    key,
    etag: `${binary.digest('hex')}-${parts.length}`,
    size: parts.reduce((sum, part) => sum + part.size, 0),
    headers: upload.headers,
    segments: parts.map(({ file, size }) => ({ file, size })),
    checksum: checksums.length === parts.length ? compositeChecksum(checksums) : undefined,
  });
  // The object's description names the files now; only parts that were not chosen go.
  bucket.forgetUpload(upload.id);
  bucket.discard(Object.values(upload.parts).filter((part) => !parts.includes(part)));
  return {
    status: 200,
    headers: { 'content-type': 'application/xml', ...writeHeaders(bucket, object) },
    body: document('CompleteMultipartUploadResult', {
      Bucket: bucket.settings.name,
      Key: key,
      ETag: `"${object.etag}"`,
      ...checksumElement(object.checksum),
      ChecksumType: object.checksum === undefined ? undefined : 'COMPOSITE',
    }),
  };
}

export function abortUpload(bucket: Bucket, key: string, request: RawRequest): RawResponse {
  const upload = findUpload(bucket, key, request);
  bucket.forgetUpload(upload.id);
  bucket.discard(Object.values(upload.parts));
  return { status: 204 };
}

export function listParts(bucket: Bucket, key: string, request: RawRequest): RawResponse {
  const upload = findUpload(bucket, key, request);
  const after = Number(request.query.get('part-number-marker') ?? 0);
  const limit = Math.min(Number(request.query.get('max-parts') ?? 1000), 1000);
  const rest = Object.values(upload.parts)
    .filter((part) => part.number > after)
    .sort((a, b) => a.number - b.number);
  const page = rest.slice(0, limit);
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: document('ListPartsResult', {
      Bucket: bucket.settings.name,
      Key: key,
      UploadId: upload.id,
      PartNumberMarker: after,
      NextPartNumberMarker: page.at(-1)?.number,
      MaxParts: limit,
      IsTruncated: rest.length > page.length,
      Part: page.map((part) => ({
        PartNumber: part.number,
        LastModified: part.modifiedAt,
        ETag: `"${part.etag}"`,
        Size: part.size,
        ...checksumElement(part.checksum),
      })),
    }),
  };
}

/** A body that is a small document. */
export async function smallBody(request: RawRequest): Promise<string> {
  const pieces: Buffer[] = [];
  await receiveBody(request, async (piece) => void pieces.push(piece));
  return Buffer.concat(pieces).toString();
}

function chosenParts(upload: Upload, xml: string): Part[] {
  const chosen = blocks(xml, 'Part').map((block) => {
    const number = Number(texts(block, 'PartNumber')[0]);
    const part = upload.parts[number];
    const etag = texts(block, 'ETag')[0]?.replaceAll('"', '');
    const sums = checksumAlgorithms.map((algorithm) => ({
      algorithm,
      value: texts(block, `Checksum${algorithm.toUpperCase()}`)[0],
    }));
    const wrongSum = sums.some(
      ({ algorithm, value }) =>
        value !== undefined && part?.checksum?.algorithm === algorithm && part.checksum.value !== value,
    );
    if (part === undefined || part.etag !== etag || wrongSum) {
      throw new AwsError(
        'InvalidPart',
        `Part ${number} could not be found, or its ETag or checksum differs.`,
      );
    }
    return part;
  });
  if (chosen.length === 0) throw new AwsError('MalformedXML', 'The XML you provided names no part.');
  for (const [index, part] of chosen.entries()) {
    const next = chosen[index + 1];
    if (next !== undefined && next.number <= part.number) {
      throw new AwsError('InvalidPartOrder', 'The list of parts was not in ascending order.');
    }
    if (next !== undefined && part.size < smallestPart) {
      throw new AwsError('EntityTooSmall', `Part ${part.number} is smaller than 5 MiB.`);
    }
  }
  return chosen;
}

function findUpload(bucket: Bucket, key: string, request: RawRequest): Upload {
  const upload = bucket.uploads.get(request.query.get('uploadId') ?? '');
  if (upload?.key !== key) throw noSuchUpload();
  return upload;
}

function noSuchUpload(): AwsError {
  return new AwsError(
    'NoSuchUpload',
    'The specified upload does not exist. It may have been aborted or completed.',
    404,
  );
}

function checksumHeader(checksum: Checksum | undefined): Record<string, string> {
  return checksum === undefined ? {} : { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value };
}

function checksumElement(checksum: Checksum | undefined): Record<string, string> {
  return checksum === undefined ? {} : { [`Checksum${checksum.algorithm.toUpperCase()}`]: checksum.value };
}
