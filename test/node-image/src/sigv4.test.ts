import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, test } from 'vitest';
import { sha256Hex, signed, type ToSign } from '../../../node-image/src/sigv4.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/+', sessionToken: 'token==' };
const now = new Date('2026-11-28T18:05:06.789Z');
const region = 'eu-central-1';

const body = '{"tenantId":"acme"}';
const requests: [string, 's3' | 'execute-api', ToSign][] = [
  [
    'a call of join',
    'execute-api',
    {
      method: 'POST',
      path: '/prod/join',
      headers: { host: 'abc.execute-api.eu-central-1.amazonaws.com', 'content-type': 'application/json' },
      bodySha256: sha256Hex(body),
    },
  ],
  [
    'a path that has to be escaped once more',
    'execute-api',
    { method: 'POST', path: '/a%20b/join', headers: { host: 'h' }, bodySha256: sha256Hex(body) },
  ],
  [
    'a list of objects',
    's3',
    {
      method: 'GET',
      path: '/bucket',
      query: { 'list-type': '2', prefix: "a/b c/ü'(1)*", uploads: '', 'start-after': 'x&y=z' },
      headers: { host: '127.0.0.1:4800' },
      bodySha256: sha256Hex(''),
    },
  ],
  [
    'a part, with what the store is to keep beside it',
    's3',
    {
      method: 'PUT',
      path: '/c1/acme/1/full/000%2B1.snap',
      query: { uploadId: 'A.b_c-~', partNumber: '10' },
      headers: {
        host: 'bucket.s3.eu-central-1.amazonaws.com',
        'x-amz-meta-revision': '  1   2 ',
        'content-length': '4',
        'content-md5': 'abc==',
        'if-none-match': '*',
      },
      bodySha256: sha256Hex(Buffer.from('part')),
    },
  ],
];

describe('a signature', () => {
  test.each(requests)('of %s is that of the SDK', async (_name, service, request) => {
    const signer = new SignatureV4({
      service,
      region,
      credentials,
      sha256: Sha256,
      uriEscapePath: service !== 's3',
    });
    const theirs = await signer.sign(
      {
        method: request.method,
        protocol: 'https:',
        hostname: 'h',
        path: request.path,
        query: { ...request.query },
        headers: { ...request.headers, 'x-amz-content-sha256': request.bodySha256 },
      },
      { signingDate: now },
    );
    const ours = signed(request, { service, region, credentials, now });
    expect(signatureOf(ours)).toEqual(signatureOf(theirs.headers));
    expect(ours).toMatchObject({ 'x-amz-date': '20261128T180506Z', 'x-amz-security-token': 'token==' });
  });
});

const signatureOf = ({ authorization }: Record<string, string>): string | undefined =>
  authorization?.split(/, */).join(', ');
