import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { callJson, renderJsonError } from '../../../../local/aws/json-protocol.ts';
import {
  AwsError,
  type BusEvent,
  type Caller,
  type CloudContext,
  type JsonService,
  type RawRequest,
  type RawResponse,
} from '../../../../local/aws/service.ts';
import { createEcs, type Ecs } from '../../../../local/services/ecs/index.ts';

/** An "image" that does what MODE says and appends a line about itself to REPORT at every start. */
const appSource = `
import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync, existsSync, writeFileSync } from 'node:fs';
const { MODE = '', REPORT, DATA_DIR } = process.env;
const has = (word) => MODE.split(',').includes(word);
process.on('SIGTERM', () => { if (!has('ignore-term')) process.exit(0); });
const child = (has('family') || has('etcd')) && spawn(process.execPath, ['-e',
  "process.on('SIGTERM',()=>{});console.log('up');setInterval(()=>{},1e6)"],
  { stdio: ['ignore', 'pipe', 'ignore'], argv0: has('etcd') ? 'etcd' : 'node' });
if (child) await new Promise((resolve) => child.stdout.once('data', resolve));
const before = DATA_DIR && existsSync(DATA_DIR + '/kept') ? readFileSync(DATA_DIR + '/kept', 'utf8') : null;
if (DATA_DIR) writeFileSync(DATA_DIR + '/kept', 'data');
console.log('hello from the container');
if (REPORT) appendFileSync(REPORT, JSON.stringify({ pid: process.pid, child: child?.pid, before, env: process.env }) + '\\n');
const code = /exit-(\\d+)/.exec(MODE);
if (code) process.exit(Number(code[1]));
setInterval(() => {}, 1e6);
`;

export const subnets = {
  'subnet-a': { cidr: '127.74.0.0/24', zone: 'eu-west-1a' },
  'subnet-b': { cidr: '127.74.1.0/24', zone: 'eu-west-1b' },
} as const;

export const caller: Caller = {
  accessKeyId: 'AKIDEXAMPLE',
  accountId: '123456789012',
  principalArn: 'arn:aws:sts::123456789012:assumed-role/create/session',
};

export interface Start {
  pid: number;
  child?: number;
  before: string | null;
  env: Record<string, string>;
}

export interface Harness {
  readonly ecs: Ecs;
  readonly events: BusEvent[];
  readonly endpointUrl: string;
  readonly stateDir: string;
  readonly assumed: { role: string; session: string }[];
  readonly clusterArn: string;
  readonly reportFile: string;
  /** Advances the clock that ECS sees. */
  advance(seconds: number): void;
  // biome-ignore lint/suspicious/noExplicitAny: answers are checked by the tests
  call(operation: string, input: unknown): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  task(taskArn: string): Promise<any>;
  starts(): Start[];
  details(taskArn: string): Record<string, unknown>[];
  /** Suspends and stops listening; the state folder stays. */
  close(): Promise<void>;
}

export interface HarnessOptions {
  readonly stateDir?: string;
  readonly container?: Record<string, unknown>;
  readonly taskDefinition?: Record<string, unknown>;
  /** Actions that roles are refused when ECS itself acts for them. */
  readonly denied?: readonly string[];
  /** Something that is asked for while the cloud is still starting. */
  readonly beforeStart?: (call: Harness['call']) => Promise<unknown>;
}

export function temporaryFolder(): string {
  return mkdtempSync(path.join(tmpdir(), 'nanny-ecs-'));
}

/** ECS of the local cloud with one cluster and the task definition `app`, behind a bare JSON endpoint without IAM. */
export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const stateDir = options.stateDir ?? temporaryFolder();
  const app = path.join(stateDir, 'app.mjs');
  writeFileSync(app, appSource);
  const events: BusEvent[] = [];
  const assumed: { role: string; session: string }[] = [];
  let mounted: (request: RawRequest) => Promise<RawResponse> = () => Promise.resolve({ status: 404 });
  let service: JsonService | undefined;
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request: RawRequest = {
      method: incoming.method!,
      path: incoming.url!,
      query: new URLSearchParams(),
      headers: incoming.headers as Record<string, string>,
      body: Buffer.concat(chunks),
      sourceIp: '127.0.0.1',
    };
    const answer = request.path.startsWith('/_')
      ? await mounted(request)
      : await callJson(service!, request, caller, (_operation, _needs, run) => run()).catch(
          (error: AwsError) => renderJsonError(service!, error),
        );
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let offsetMs = 0;
  const now = () => new Date(Date.now() + offsetMs);
  const context: CloudContext = {
    accountId: '123456789012',
    region: 'eu-west-1',
    stateDir,
    endpointUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: () => undefined,
    emit: (event) => events.push(event),
    assumeRole(role, session) {
      assumed.push({ role, session });
      const expiration = new Date(now().getTime() + 3_600_000);
      return { accessKeyId: `ASIA${assumed.length}`, secretAccessKey: 's', sessionToken: 't', expiration };
    },
    registry: {
      resourcesOfType: () => [],
      byArn: () => undefined,
      byRef(type, ref) {
        const subnet = subnets[ref as keyof typeof subnets];
        if (!subnet) return undefined;
        const attributes = { CidrBlock: subnet.cidr, AvailabilityZone: subnet.zone };
        return { type, ref, attributes, stack: 'test', logicalId: ref, properties: {} };
      },
    },
    authorize: (role, { action }) => {
      if (options.denied?.includes(action))
        throw new AwsError('AccessDeniedException', `${role} may not ${action}`);
    },
    rewriteHosts: (text) => text.replace('https://api.example', 'http://127.0.0.1:1/_api'),
    mount: (_prefix, handler) => {
      mounted = handler;
    },
  };
  const ecs = createEcs(context, {
    images: { 'test/app:*': { command: [process.execPath, app], environment: { FROM_IMAGE: 'yes' } } },
    now,
    suspendTimeoutMs: 500,
  });
  service = ecs.services[0];
  const reportFile = path.join(stateDir, 'report.jsonl');
  const { clusterArn } = await provision(ecs, reportFile, options);
  const call = (operation: string, input: unknown) =>
    ecs.services[0].operations[operation]!.run({ cluster: 'main', ...(input as object) } as never, caller);
  await options.beforeStart?.(call);
  await ecs.start();
  return {
    ecs,
    events,
    endpointUrl: context.endpointUrl,
    stateDir,
    assumed,
    clusterArn,
    reportFile,
    advance: (seconds) => {
      offsetMs += seconds * 1000;
    },
    call,
    async task(taskArn) {
      const answer = (await call('DescribeTasks', { tasks: [taskArn] })) as { tasks: unknown[] };
      return answer.tasks[0];
    },
    starts: () => readStarts(reportFile),
    details: (taskArn) =>
      events
        .filter(({ resources }) => resources.includes(taskArn))
        .map(({ detail }) => detail as Record<string, unknown>),
    close: () => ecs.stop().then(() => closeServer(server)),
  };
}

async function provision(
  ecs: Ecs,
  reportFile: string,
  options: HarnessOptions,
): Promise<{ clusterArn: string }> {
  const put = (type: string, logicalId: string, properties: unknown) =>
    ecs.providers
      .find(({ types }) => types.includes(type))!
      .provision({ type, stack: 'test', logicalId, properties });
  const cluster = await put('AWS::ECS::Cluster', 'Cluster', { ClusterName: 'main' });
  await put('AWS::ECS::TaskDefinition', 'Task', {
    Family: 'app',
    NetworkMode: 'awsvpc',
    RequiresCompatibilities: ['FARGATE'],
    Cpu: '256',
    Memory: '512',
    TaskRoleArn: 'arn:aws:iam::123456789012:role/task',
    ExecutionRoleArn: 'arn:aws:iam::123456789012:role/execution',
    Volumes: [{ Name: 'data' }],
    ContainerDefinitions: [
      {
        Name: 'app',
        Image: 'test/app:1',
        Environment: [
          { Name: 'DATA_DIR', Value: '/var/data' },
          { Name: 'REPORT', Value: reportFile },
          { Name: 'API', Value: 'https://api.example/prod/' },
        ],
        MountPoints: [{ SourceVolume: 'data', ContainerPath: '/var/data', ReadOnly: false }],
        StopTimeout: 1,
        ...options.container,
      },
    ],
    ...options.taskDefinition,
  });
  return { clusterArn: cluster.attributes!.Arn! };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

export function readStarts(file: string): Start[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Start);
  } catch {
    return [];
  }
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

export function runInput(mode = '', more: Record<string, unknown> = {}) {
  return {
    taskDefinition: 'app',
    launchType: 'FARGATE',
    networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-a'], securityGroups: ['sg-1'] } },
    overrides: { containerOverrides: [{ name: 'app', environment: [{ name: 'MODE', value: mode }] }] },
    ...more,
  };
}

/** Waits for a condition; fails with what was seen last. */
export async function until<T>(
  probe: () => T | Promise<T>,
  accept: (value: T) => boolean,
  ms = 10_000,
): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (accept(value)) return value;
    if (Date.now() > deadline) throw new Error(`Still waiting; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

export function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3));
  } catch {
    return false;
  }
}
