import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DescribeTasksCommand, ECSClient } from '@aws-sdk/client-ecs';
import { EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { QueueDoesNotExist, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  jsonService,
  notFound,
  rawS3,
  region,
  startEndpoint,
  type TestEndpoint,
  user,
} from './support/endpoint.ts';

const sqs = jsonService('sqs', 'AmazonSQS', {
  SendMessage: ({ MessageBody }) => ({
    MessageId: 'm',
    MD5OfMessageBody: createHash('md5').update(String(MessageBody)).digest('hex'),
  }),
  ReceiveMessage: notFound,
});
const ecs = jsonService('ecs', 'AmazonEC2ContainerServiceV20141113', {
  DescribeTasks: () => ({ tasks: [{ taskArn: 'arn', createdAt: new Date(1_700_000_000_500) }] }),
});
const kms = jsonService('kms', 'TrentService', { Encrypt: () => ({ CiphertextBlob: 'AAEC' }) });
const s3 = rawS3();
let endpoint: TestEndpoint;

beforeAll(async () => {
  endpoint = await startEndpoint([sqs, ecs, kms, s3]);
});
afterAll(() => endpoint.close());
afterEach(() => {
  endpoint.skew = 0;
});

const config = (
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } = user,
) => ({
  endpoint: endpoint.url,
  region,
  credentials,
  maxAttempts: 1,
});
const send = (credentials?: typeof user & { sessionToken?: string }) =>
  new SQSClient(config(credentials)).send(
    new SendMessageCommand({ QueueUrl: `${endpoint.url}/1/q`, MessageBody: 'ä b+c' }),
  );

describe('what the real clients sign', () => {
  it('accepts JSON services, and times come back as dates', async () => {
    await expect(send()).resolves.toMatchObject({ MessageId: 'm' });
    const answer = await new ECSClient(config()).send(new DescribeTasksCommand({ tasks: ['arn'] }));
    expect(answer.tasks?.[0]?.createdAt).toEqual(new Date(1_700_000_000_500));
    const encrypted = await new KMSClient(config()).send(
      new EncryptCommand({ KeyId: 'k', Plaintext: Buffer.from('x'), EncryptionContext: { tenant: 'acme' } }),
    );
    expect(encrypted.CiphertextBlob).toEqual(new Uint8Array([0, 1, 2]));
    expect(kms.seen.at(-1)).toMatchObject({ EncryptionContext: { tenant: 'acme' } });
  });

  it('accepts uploads from memory, and streams with their trailing checksum', async () => {
    const client = new S3Client(config());
    const key = 'a b/ü(1)*.snap';
    await client.send(new PutObjectCommand({ Bucket: 'bucket', Key: key, Body: 'hello' }));
    await client.send(
      new PutObjectCommand({
        Bucket: 'bucket',
        Key: key,
        Body: Readable.from([Buffer.from('hello')]),
        ContentLength: 5,
      }),
    );
    expect(s3.bodies[0]?.toString()).toBe('hello');
    expect(s3.bodies[1]?.toString()).toMatch(/^5\r\nhello\r\n0\r\nx-amz-checksum-crc32:/);
  });

  it('accepts temporary credentials of a role until they expire', async () => {
    await endpoint.iam.provider().provision({
      type: 'AWS::IAM::Role',
      stack: 's',
      logicalId: 'Sender',
      properties: {
        RoleName: 'sender',
        AssumeRolePolicyDocument: { Statement: [] },
        Policies: [
          {
            PolicyName: 'p',
            PolicyDocument: { Statement: [{ Effect: 'Allow', Action: 'sqs:SendMessage', Resource: '*' }] },
          },
        ],
      },
    });
    const temporary = endpoint.credentials.issue('arn:aws:iam::111122223333:role/sender', 'session', 900);
    await expect(send(temporary)).resolves.toMatchObject({ MessageId: 'm' });
    await expect(send({ ...temporary, sessionToken: 'other' })).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
    endpoint.skew = 901_000;
    await expect(send(temporary)).rejects.toMatchObject({ name: 'ExpiredTokenException' });
  });
});

describe('what is refused', () => {
  it('a wrong secret, an unknown key, a wrong Region, a clock that is off', async () => {
    await expect(send({ ...user, secretAccessKey: 'wrong' })).rejects.toMatchObject({
      name: 'InvalidSignatureException',
    });
    await expect(send({ ...user, accessKeyId: 'AKIANOBODY' })).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
      message: 'The security token included in the request is invalid.',
    });
    const elsewhere = new SQSClient({ ...config(), region: 'eu-west-1' });
    await expect(
      elsewhere.send(new SendMessageCommand({ QueueUrl: `${endpoint.url}/1/q`, MessageBody: 'x' })),
    ).rejects.toThrow('valid region');
    endpoint.skew = 6 * 60_000;
    // The client corrects its clock and signs again; with one attempt it only reports.
    await expect(send()).rejects.toThrow(/Signature expired/);
  });

  it('no signature at all, in the format of the service that was meant', async () => {
    const json = await fetch(endpoint.url, {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSQS.SendMessage' },
    });
    expect(json.status).toBe(403);
    expect(await json.json()).toMatchObject({ __type: 'MissingAuthenticationTokenException' });
    const xml = await fetch(`${endpoint.url}/bucket/key`);
    expect(await xml.text()).toContain('<Code>MissingAuthenticationTokenException</Code>');
    const half = await fetch(endpoint.url, {
      headers: { 'x-amz-target': 'AmazonSQS.SendMessage', authorization: 'AWS4-HMAC-SHA256 Credential=x' },
    });
    expect(await half.json()).toMatchObject({ __type: 'IncompleteSignatureException' });
  });

  it('a body that is not the one that was signed', async () => {
    const client = new SQSClient(config());
    client.middlewareStack.add(
      (next) => async (args) => {
        const request = args.request as { body: string };
        request.body = request.body.replace('honest', 'forged');
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low', name: 'forge' },
    );
    await expect(
      client.send(new SendMessageCommand({ QueueUrl: `${endpoint.url}/1/q`, MessageBody: 'honest' })),
    ).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  });

  it('operations and services that this cloud has not, by name', async () => {
    const client = new ECSClient(config());
    const { ListClustersCommand } = await import('@aws-sdk/client-ecs');
    await expect(client.send(new ListClustersCommand({}))).rejects.toThrow('no ecs:ListClusters');
    const { CloudWatchClient, ListMetricsCommand } = await import('@aws-sdk/client-cloudwatch');
    await expect(new CloudWatchClient(config()).send(new ListMetricsCommand({}))).rejects.toThrow(
      /no service for POST .*ListMetrics/,
    );
  });

  it('errors reach the client as the classes of its SDK', async () => {
    const client = new SQSClient(config());
    await expect(
      client.send(new ReceiveMessageCommand({ QueueUrl: `${endpoint.url}/1/none` })),
    ).rejects.toBeInstanceOf(QueueDoesNotExist);
  });
});
