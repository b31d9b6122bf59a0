import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { AwsError, type RawRequest } from '../../aws/service.ts';

/** Checksum algorithms we can verify. CRC32 is what the SDKs send when nothing else is asked for. */
export const checksumAlgorithms = ['crc32', 'sha256', 'sha1'] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64, as in the header. */
  readonly value: string;
}

export interface ReceivedBody {
  readonly size: number;
  /** MD5, hex. */
  readonly md5: string;
  readonly checksum?: Checksum;
}

/**
 * Reads a body to its end, in pieces, and verifies whatever the client gave to verify it by.
 *
 * @throws AwsError IncompleteBody, BadDigest, XAmzContentSHA256Mismatch
 */
export async function receiveBody(
  request: RawRequest,
  write: (piece: Buffer) => Promise<void>,
): Promise<ReceivedBody> {
  const { headers } = request;
  const trailers: Record<string, string> = {};
  const source: AsyncIterable<Buffer> = request.stream
    ? (request.stream as AsyncIterable<Buffer>)
    : single(request.body);
  const payloadHash = headers['x-amz-content-sha256'] ?? '';
  const chunked =
    payloadHash.startsWith('STREAMING-') || /aws-chunked/.test(headers['content-encoding'] ?? '');
  const algorithm = declaredAlgorithm(headers);
  const md5 = createHash('md5');
  const checksum = algorithm && digest(algorithm);
  const sha256 = /^[0-9a-f]{64}$/.test(payloadHash) ? createHash('sha256') : undefined;
  let size = 0;
  for await (const piece of chunked ? unchunk(source, trailers) : source) {
    size += piece.length;
    md5.update(piece);
    checksum?.update(piece);
    sha256?.update(piece);
    await write(piece);
  }
  const length = chunked ? headers['x-amz-decoded-content-length'] : headers['content-length'];
  if (length !== undefined && Number(length) !== size) {
    throw new AwsError(
      'IncompleteBody',
      'You did not provide the number of bytes specified by Content-Length.',
    );
  }
  if (sha256 !== undefined && sha256.digest('hex') !== payloadHash) {
    throw new AwsError(
      'XAmzContentSHA256Mismatch',
      'The provided x-amz-content-sha256 does not match the body.',
    );
  }
  const md5Hex = md5.digest('hex');
  const contentMd5 = headers['content-md5'];
  if (contentMd5 !== undefined && Buffer.from(contentMd5, 'base64').toString('hex') !== md5Hex) {
    throw new AwsError('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
  if (algorithm === undefined || checksum === undefined) return { size, md5: md5Hex };
  const name = `x-amz-checksum-${algorithm}`;
  const value = checksum.value();
  const claimed = headers[name] ?? trailers[name];
  if (claimed !== undefined && claimed !== value) {
    throw new AwsError(
      'BadDigest',
      `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
    );
  }
  return { size, md5: md5Hex, checksum: { algorithm, value } };
}

function declaredAlgorithm(headers: RawRequest['headers']): ChecksumAlgorithm | undefined {
  const named = [
    headers['x-amz-sdk-checksum-algorithm'],
    /^x-amz-checksum-(\w+)$/.exec(headers['x-amz-trailer'] ?? '')?.[1],
    ...Object.keys(headers).map((name) => /^x-amz-checksum-(?!mode|type|algorithm)(\w+)$/.exec(name)?.[1]),
  ].find((name) => name !== undefined);
  return named === undefined ? undefined : supported(named);
}

export function supported(name: string): ChecksumAlgorithm {
  const algorithm = checksumAlgorithms.find((known) => known === name.toLowerCase());
  if (algorithm !== undefined) return algorithm;
  throw new AwsError('NotImplemented', `The local cloud cannot verify ${name} checksums; use CRC32.`, 501);
}

function digest(algorithm: ChecksumAlgorithm): { update(piece: Buffer): void; value(): string } {
  if (algorithm === 'crc32') {
    let sum = 0;
    return {
      update: (piece) => {
        sum = crc32(piece, sum);
      },
      value: () => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(sum);
        return bytes.toString('base64');
      },
    };
  }
  const hash: Hash = createHash(algorithm);
  return { update: (piece) => void hash.update(piece), value: () => hash.digest('base64') };
}

/** Checksum of the parts' checksums, as S3 builds it for a multipart object. */
export function compositeChecksum(parts: readonly Checksum[]): Checksum | undefined {
  const [first] = parts;
  if (first === undefined) return undefined;
  const whole = digest(first.algorithm);
  for (const part of parts) whole.update(Buffer.from(part.value, 'base64'));
  return { algorithm: first.algorithm, value: `${whole.value()}-${parts.length}` };
}

async function* single(body: Buffer): AsyncGenerator<Buffer> {
  if (body.length > 0) yield body;
}

/** Takes the `aws-chunked` framing off: `<hex size>[;extensions]\r\n<data>\r\n` ... `0\r\n<trailers>\r\n`. */
async function* unchunk(
  source: AsyncIterable<Buffer>,
  trailers: Record<string, string>,
): AsyncGenerator<Buffer> {
  let buffered: Buffer = Buffer.alloc(0);
  /** Bytes of the current chunk still to come, -1 while a size line is expected, -2 in the trailers. */
  let left = -1;
  const line = (): string | undefined => {
    const end = buffered.indexOf('\r\n');
    if (end < 0) return undefined;
    const text = buffered.subarray(0, end).toString('latin1');
    buffered = buffered.subarray(end + 2);
    return text;
  };
  for await (const piece of source) {
    buffered = buffered.length === 0 ? piece : Buffer.concat([buffered, piece]);
    while (buffered.length > 0) {
      if (left > 0) {
        const data = buffered.subarray(0, left);
        left -= data.length;
        buffered = buffered.subarray(data.length);
        yield data;
        continue;
      }
      const text = line();
      if (text === undefined) break;
      if (left === -2) {
        const colon = text.indexOf(':');
        if (colon > 0) trailers[text.slice(0, colon).toLowerCase()] = text.slice(colon + 1).trim();
      } else if (left === 0) {
        left = -1;
      } else {
        left = Number.parseInt(text, 16);
        if (!Number.isInteger(left) || left < 0) {
          throw new AwsError('InvalidRequest', 'The aws-chunked framing of the body is broken.');
        }
        if (left === 0) left = -2;
      }
    }
  }
  if (left !== -2) throw new AwsError('IncompleteBody', 'The body ended before its last chunk.');
}
