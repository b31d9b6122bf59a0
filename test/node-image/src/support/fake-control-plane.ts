import * as http from 'node:http';
import { renderEtcdArguments } from '../../../../lambdas/core/etcd-flags.ts';
import type { CertificateAuthority } from '../../../../lambdas/core/ports.ts';
import {
  type JoinAnswer,
  type JoinRequest,
  joinRequestSchema,
  type ReportRequest,
  type RestoreOrder,
  renewRequestSchema,
  reportRequestSchema,
} from '../../../../lambdas/core/wire/join.ts';
import {
  type StorageAnswer,
  storageRequestSchema,
  type WorkOrder,
  type WorkReport,
  workReportSchema,
} from '../../../../lambdas/core/wire/work.ts';
import { backdateMs } from '../../../../lambdas/pki/certificates.ts';
import { createPki, memberLeafSeconds } from '../../../../lambdas/pki/x509-pki.ts';

export interface Heard {
  readonly route: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: unknown;
  readonly from: string | undefined;
}

export interface FakeControlPlaneOptions {
  readonly ip: string;
  readonly port: number;
  readonly tenantId: string;
  /** Member name → address of its task. */
  readonly members: Readonly<Record<string, string>>;
  readonly version: string;
  /** Where the nannies find S3. */
  readonly s3Url?: string;
}

/**
 * Plays the join function, the task metadata endpoint and the credentials endpoint for the nannies of one tenant.
 * By default all members are told to boot with state `new` once all of them have asked.
 */
export class FakeControlPlane {
  readonly heard: Heard[] = [];
  readonly tenantId: string;
  readonly members: Record<string, string>;
  /** Changed by a test to answer otherwise. Undefined: the default. */
  answerJoin: ((request: JoinRequest) => Promise<JoinAnswer | undefined>) | undefined;
  /** Whether a worker that has ended may leave. */
  answerWork: (report: WorkReport) => boolean = ({ progress }) => progress.state !== 'running';
  /** A status and body sent instead of the answer to any route; undefined: none. */
  failWith: { status: number; body: object } | undefined;
  leave = false;
  /** Certificates issued from now on are due for renewal this much later; undefined: in 20 days. */
  renewalDueInMs: number | undefined;
  readonly #options: FakeControlPlaneOptions;
  readonly #joined = new Set<string>();
  readonly #server: http.Server;
  #ca: CertificateAuthority | undefined;

  constructor(options: FakeControlPlaneOptions) {
    this.#options = options;
    this.tenantId = options.tenantId;
    this.members = { ...options.members };
    this.#server = http.createServer((request, response) => void this.#handle(request, response));
  }

  get url(): string {
    return `http://${this.#options.ip}:${this.#options.port}`;
  }

  get ca(): CertificateAuthority {
    return this.#ca!;
  }

  async start(): Promise<void> {
    this.#ca ??= await this.#pki().createAuthority(this.tenantId);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.ip, resolve);
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async controlPlaneLeaf(): Promise<{ ca: string; cert: string; key: string }> {
    const { certificate, key } = await this.#pki().createControlPlaneLeaf(this.ca, this.tenantId);
    return { ca: this.ca.certificate, cert: certificate, key };
  }

  async tenantClient(user: string): Promise<{ ca: string; cert: string; key: string }> {
    const { key, csr } = await this.#pki().createClientKey(user);
    const { certificate } = await this.#pki().signClient(this.ca, user, csr, 3600);
    return { ca: this.ca.certificate, cert: certificate, key };
  }

  reports(memberName: string): ReportRequest['status'][] {
    return this.heard
      .filter(({ route }) => route === 'report')
      .map(({ body }) => reportRequestSchema.parse(body))
      .filter((report) => report.memberName === memberName)
      .map(({ status }) => status);
  }

  /** The environment ECS would give the nanny of this member. */
  environment(memberName: string, dataDir: string, etcdDir: string): Record<string, string> {
    return {
      NANNY_JOIN_URL: `${this.url}/prod/`,
      NANNY_DATA_DIR: dataDir,
      NANNY_ETCD_DIR: etcdDir,
      NANNY_TENANT: this.tenantId,
      NANNY_MEMBER: memberName,
      AWS_REGION: 'eu-central-1',
      ECS_CONTAINER_METADATA_URI_V4: `${this.url}/metadata/${memberName}`,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${this.url}/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'task-token',
      ...(this.#options.s3Url !== undefined && { AWS_ENDPOINT_URL: this.#options.s3Url }),
    };
  }

  async boot(
    request: Pick<JoinRequest, 'memberName' | 'csrs'>,
    mode: 'new' | 'existing' | 'resume' | 'restore',
    initialCluster: Readonly<Record<string, string>>,
    restore?: RestoreOrder,
  ): Promise<JoinAnswer> {
    return {
      answer: 'boot',
      mode,
      incarnation: mode === 'restore' ? 2 : 1,
      etcdVersion: this.#options.version,
      etcdArguments: this.etcdArguments(request.memberName, initialCluster, mode),
      certificates: await this.#issue(request),
      ...(restore && { restore }),
    };
  }

  async work(request: Pick<JoinRequest, 'memberName' | 'csrs'>, order: WorkOrder): Promise<JoinAnswer> {
    return { answer: 'work', order, certificates: await this.#issue(request) };
  }

  /** What a worker has told, oldest first. */
  workReports(memberName: string): WorkReport['progress'][] {
    return this.heard
      .filter(({ route }) => route === 'work')
      .map(({ body }) => workReportSchema.parse(body))
      .filter((report) => report.memberName === memberName)
      .map(({ progress }) => progress);
  }

  etcdArguments(
    memberName: string,
    initialCluster: Readonly<Record<string, string>>,
    mode: 'new' | 'existing' | 'resume' | 'restore' = 'existing',
    version = this.#options.version,
  ): string[] {
    return renderEtcdArguments({
      version,
      memberName,
      ip: this.members[memberName]!,
      token: 'a-token-of-this-test',
      initialCluster,
      initialClusterState: mode === 'new' ? 'new' : 'existing',
      spec: { quotaMiB: 2048, autoCompaction: { mode: 'off' } },
    });
  }

  peerUrls(names = Object.keys(this.members)): Record<string, string> {
    return Object.fromEntries(names.map((name) => [name, `https://${this.members[name]}:2380`]));
  }

  #pki(now = Date.now()) {
    return createPki({ clock: { now: () => new Date(now) } });
  }

  async #issue(request: Pick<JoinRequest, 'memberName' | 'csrs'>) {
    // Member leaves are due at two thirds of their life, which begins `backdateMs` before their issue: issued with a
    // clock this far back they are due soon.
    const dueAfterMs = (memberLeafSeconds * 1000 * 2) / 3 - backdateMs / 3;
    const back = this.renewalDueInMs === undefined ? 0 : dueAfterMs - this.renewalDueInMs;
    const now = Date.now() - back;
    const identity = {
      tenantId: this.tenantId,
      memberName: request.memberName,
      ip: this.members[request.memberName]!,
      dnsName: `${this.tenantId}.etcd-nanny.internal`,
    };
    return await this.#pki(now).signMemberLeaves(this.ca, identity, request.csrs, this.ca.certificate);
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const path = request.url ?? '';
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
    const send = (status: number, answer: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    };
    const metadata = /^\/metadata\/([a-z0-9]+)\/task$/.exec(path)?.[1];
    if (metadata) {
      const IPv4Addresses = [this.members[metadata]];
      send(200, { TaskARN: `arn:task/${metadata}`, Containers: [{ Networks: [{ IPv4Addresses }] }] });
      return;
    }
    if (path === '/credentials') {
      send(request.headers.authorization === 'task-token' ? 200 : 403, {
        AccessKeyId: 'AKIDOFTASKROLE',
        SecretAccessKey: 'not-for-s3',
        Token: 'task-session',
        Expiration: new Date(Date.now() + 3_600_000).toISOString(),
      });
      return;
    }
    const route = path.replace('/prod/', '');
    this.heard.push({ route, headers: request.headers, body, from: request.socket.remoteAddress });
    if (this.failWith) return send(this.failWith.status, this.failWith.body);
    try {
      send(200, await this.#answer(route, body));
    } catch (error) {
      send(500, { detail: String(error) });
    }
  }

  async #answer(route: string, body: unknown): Promise<unknown> {
    if (route === 'report') {
      reportRequestSchema.parse(body);
      return { leave: this.leave };
    }
    if (route === 'storage') {
      storageRequestSchema.parse(body);
      const expiration = new Date(Date.now() + 3_600_000).toISOString();
      return {
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: 'secret',
        sessionToken: 'session',
        expiration,
      } satisfies StorageAnswer;
    }
    if (route === 'work') return { leave: this.answerWork(workReportSchema.parse(body)) };
    if (route === 'renew') return await this.#issue(renewRequestSchema.parse(body));
    const request = joinRequestSchema.parse(body);
    this.#joined.add(request.memberName);
    const special = await this.answerJoin?.(request);
    if (special) return special;
    if (request.hasData) return await this.boot(request, 'resume', this.peerUrls());
    const missing = Object.keys(this.members).filter((name) => !this.#joined.has(name));
    if (missing.length > 0) {
      return { answer: 'wait', reason: `waiting for ${missing.length} members`, retryAfterMs: 100 };
    }
    return await this.boot(request, 'new', this.peerUrls());
  }
}
