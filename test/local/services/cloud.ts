import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { callJson, renderJsonError } from '../../../local/aws/json-protocol.ts';
import {
  type Authorization,
  AwsError,
  type Caller,
  type CloudContext,
  type CreateModule,
  type Provisioned,
  type RawRequest,
  type RawResponse,
  type Service,
  type ServiceModule,
} from '../../../local/aws/service.ts';

/** One service of the local cloud behind plain HTTP, for the real SDK clients. No signatures, no policies. */
export interface TestCloud {
  readonly url: string;
  readonly module: ServiceModule;
  readonly stateDir: string;
  /** What IAM would have been asked, oldest first. */
  readonly asked: Authorization[];
  /** Settings for an SDK client. */
  readonly client: {
    endpoint: string;
    region: string;
    maxAttempts: number;
    credentials: { accessKeyId: string; secretAccessKey: string };
  };
  provision(type: string, logicalId: string, properties: Record<string, unknown>): Promise<Provisioned>;
  /** Throws for what this returns true for, when the service asks for a caller's rights by itself. */
  denied: (authorization: Authorization) => boolean;
  stop(options?: { keepState?: boolean }): Promise<void>;
}

export const accountId = '111122223333';
export const region = 'us-east-1';
const caller: Caller = {
  accessKeyId: 'AKIATEST',
  accountId,
  principalArn: `arn:aws:sts::${accountId}:assumed-role/test/session`,
  roleArn: `arn:aws:iam::${accountId}:role/test`,
  sessionName: 'session',
};

export async function startCloud(
  createModule: CreateModule,
  options: { stateDir?: string } = {},
): Promise<TestCloud> {
  const stateDir = options.stateDir ?? mkdtempSync(path.join(tmpdir(), 'etcd-nanny-services-'));
  const asked: Authorization[] = [];
  let services: readonly Service[] = [];
  const server = createServer((incoming, outgoing) => {
    serve(services, asked, incoming).then(
      (answer) => send(outgoing, answer),
      (error: unknown) => send(outgoing, { status: 500, body: String(error) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.73.0.1', resolve));
  const url = `http://127.73.0.1:${(server.address() as AddressInfo).port}`;
  const cloud: { denied: TestCloud['denied'] } = { denied: () => false };
  const context = {
    accountId,
    region,
    stateDir,
    endpointUrl: url,
    log: () => {},
    authorize(_role: string, authorization: Authorization) {
      if (cloud.denied(authorization)) {
        throw new AwsError(
          'AccessDeniedException',
          `not authorized to perform: ${authorization.action}`,
          403,
        );
      }
    },
  } as unknown as CloudContext;
  const module = await createModule(context);
  services = module.services;
  await module.start?.();
  return Object.assign(cloud, {
    url,
    module,
    stateDir,
    asked,
    client: {
      endpoint: url,
      region,
      maxAttempts: 1,
      credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'secret' },
    },
    async provision(type: string, logicalId: string, properties: Record<string, unknown>) {
      const provider = module.providers.find(({ types }) => types.includes(type));
      if (provider === undefined) throw new Error(`No provider for ${type}`);
      return await provider.provision({ type, stack: 'Test', logicalId, properties });
    },
    async stop({ keepState = false } = {}) {
      await module.stop?.();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      if (!keepState) rmSync(stateDir, { recursive: true, force: true });
    },
  });
}

async function serve(
  services: readonly Service[],
  asked: Authorization[],
  incoming: IncomingMessage,
): Promise<RawResponse> {
  const url = new URL(incoming.url ?? '/', 'http://local');
  const request: RawRequest = {
    method: incoming.method ?? 'GET',
    path: (incoming.url ?? '/').split('?')[0]!,
    query: url.searchParams,
    headers: Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    ),
    body: Buffer.alloc(0),
    sourceIp: '127.0.0.1',
  };
  const prefix = request.headers['x-amz-target']?.split('.')[0];
  const service = services.find((one) => one.kind === 'raw' || one.targetPrefix === prefix)!;
  try {
    if (service.kind === 'json') {
      const body = Buffer.from(await text(incoming));
      return await callJson(service, { ...request, body }, caller, (_operation, authorizations, run) => {
        asked.push(...authorizations);
        return run();
      });
    }
    const streamed = { ...request, stream: incoming };
    asked.push(...service.describe(streamed, caller).authorizations);
    return await service.handle(streamed, caller);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return service.kind === 'json' ? renderJsonError(service, error) : service.renderError(error, request);
  }
}

function send(outgoing: ServerResponse, answer: RawResponse): void {
  outgoing.writeHead(answer.status, answer.headers);
  if (answer.body === undefined || typeof answer.body === 'string' || Buffer.isBuffer(answer.body)) {
    outgoing.end(answer.body);
  } else {
    answer.body.pipe(outgoing);
  }
}
