import { AwsError, type JsonService, type RawService, type Service } from '../../../local/aws/service.ts';
import { Endpoint } from '../../../local/endpoint.ts';
import { Faults } from '../../../local/faults.ts';
import { CredentialStore } from '../../../local/iam/credentials.ts';
import { Iam } from '../../../local/iam/iam.ts';

export const accountId = '111122223333';
export const region = 'us-east-1';
export const user = {
  accessKeyId: 'AKIALOCALADMINISTRAT',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

export interface TestEndpoint {
  readonly url: string;
  readonly credentials: CredentialStore;
  readonly iam: Iam;
  readonly faults: Faults;
  /** Offset of the endpoint's clock, ms. */
  skew: number;
  close(): Promise<void>;
}

/** @param shared those that services of the test know already */
export async function startEndpoint(
  services: readonly Service[],
  shared: { readonly credentials?: CredentialStore; readonly iam?: Iam } = {},
): Promise<TestEndpoint> {
  const credentials = shared.credentials ?? new CredentialStore({ accountId });
  credentials.addUser('local-admin', user.accessKeyId, user.secretAccessKey);
  const iam = shared.iam ?? new Iam({ accountId, region });
  const faults = new Faults();
  const endpoint = new Endpoint({
    credentials,
    iam,
    faults,
    region,
    now: () => Date.now() + test.skew,
    networkContext: (address) => ({ 'aws:SourceIp': address }),
    log: () => {},
  });
  for (const service of services) endpoint.add(service);
  const port = await endpoint.listen(0);
  endpoint.open();
  const test: TestEndpoint = {
    url: `http://127.0.0.1:${port}`,
    credentials,
    iam,
    faults,
    skew: 0,
    close: () => endpoint.close(),
  };
  return test;
}

/** A JSON service whose operations answer what `answer` says, with what they got written down. */
export function jsonService(
  name: string,
  targetPrefix: string,
  operations: Readonly<Record<string, (input: Record<string, unknown>) => unknown>>,
): JsonService & { readonly seen: Record<string, unknown>[] } {
  const seen: Record<string, unknown>[] = [];
  return {
    kind: 'json',
    name,
    targetPrefix,
    jsonVersion: name === 'sqs' ? '1.0' : '1.1',
    seen,
    operations: Object.fromEntries(
      Object.entries(operations).map(([operation, answer]) => [
        operation,
        {
          authorize: () => [{ action: `${name}:${operation}`, resource: '*' }],
          async run(input: never) {
            seen.push(input);
            return answer(input);
          },
        },
      ]),
    ),
  };
}

/** A streaming S3 that keeps what it was sent, still in its wire coding. */
export function rawS3(): RawService & { readonly bodies: Buffer[] } {
  const bodies: Buffer[] = [];
  return {
    kind: 'raw',
    name: 's3',
    streamsBody: true,
    bodies,
    describe: () => ({ operation: 'PutObject', authorizations: [{ action: 's3:PutObject', resource: '*' }] }),
    async handle(request) {
      const chunks: Buffer[] = [];
      for await (const chunk of request.stream ?? []) chunks.push(Buffer.from(chunk));
      bodies.push(Buffer.concat(chunks));
      return { status: 200, headers: { etag: '"x"' } };
    },
    renderError: (error: AwsError) => ({
      status: error.status,
      headers: { 'content-type': 'application/xml' },
      body: `<Error><Code>${error.code}</Code><Message>${error.message}</Message></Error>`,
    }),
  };
}

export const notFound = (): never => {
  throw new AwsError('QueueDoesNotExist', 'The specified queue does not exist.', 400, {
    queryCode: 'AWS.SimpleQueueService.NonExistentQueue',
  });
};
