import type { BusEvent, CloudContext, QueueAccess, ServiceModule } from './aws/service.ts';
import type { Faults } from './faults.ts';
import type { CredentialStore } from './iam/credentials.ts';
import type { Iam } from './iam/iam.ts';
import { type ApiGatewayDeps, createApiGateway } from './services/apigateway/index.ts';
import { type CloudWatch, createCloudWatch } from './services/cloudwatch/index.ts';
import { createModule as createDynamodb } from './services/dynamodb/index.ts';
import { createEc2 } from './services/ec2/index.ts';
import { type ContainerRuntime, createEcs, type EcsChaos, type ImageCatalog } from './services/ecs/index.ts';
import { createEvents } from './services/events/index.ts';
import { createModule as createKms } from './services/kms/index.ts';
import { createLambda, type Invoker } from './services/lambda/index.ts';
import { createModule as createS3, type S3Module } from './services/s3/index.ts';
import { createSecretsManager } from './services/secretsmanager/index.ts';
import { createModule as createNames } from './services/servicediscovery/index.ts';
import { createSns } from './services/sns/index.ts';
import type { Topics } from './services/sns/topics.ts';
import { createModule as createSqs } from './services/sqs/index.ts';
import { createSts } from './services/sts/index.ts';

export interface ModuleOptions {
  readonly context: CloudContext;
  readonly iam: Iam;
  readonly credentials: CredentialStore;
  readonly faults: Faults;
  readonly assets: ReadonlyMap<string, string>;
  readonly images: ImageCatalog;
  /** @default processes, of `images` */
  readonly runtime?: ContainerRuntime | undefined;
  readonly vpcOf: ApiGatewayDeps['vpcOf'];
}

export interface Modules {
  /** In the order of their start: what acts by itself (queues to functions, tasks) comes last and stops first. */
  readonly all: readonly ServiceModule[];
  readonly chaos: EcsChaos;
  readonly buckets: S3Module['buckets'];
  readonly functions: Invoker;
  readonly alarms: CloudWatch['alarms'];
  readonly metrics: CloudWatch['metrics'];
  readonly pages: Pick<Topics, 'pages'>;
  emit(event: BusEvent): void;
  httpApiUrl(): string | undefined;
}

export async function createModules(options: ModuleOptions): Promise<Modules> {
  const { context, iam, credentials, faults, assets, images } = options;
  const sqs = await createSqs(context);
  const queues = (): QueueAccess => {
    if (!sqs.queues) throw new Error('The SQS of the local cloud offers no queues.');
    return sqs.queues;
  };
  queues().hurtWith?.(() => faults.messages);
  const sns = createSns(context, iam);
  const watch = createCloudWatch(context, { topics: sns.topics, queues: () => queues().figures?.() ?? [] });
  const lambda = createLambda(context, {
    iam,
    credentials,
    assets,
    queues,
    retryAfterSeconds: () => faults.messages.retryAfterSeconds,
    isHeld: (name) => faults.heldFunctions.has(name),
    watch,
  });
  const events = createEvents(context, {
    iam,
    queues,
    functions: lambda,
    isSilent: (rule) => faults.silentRules.has(rule),
    speed: () => watch.alarms.speed,
  });
  const ecs = createEcs(context, { images, ...(options.runtime && { runtime: options.runtime }) });
  const api = createApiGateway(context, { iam, functions: lambda, vpcOf: options.vpcOf, watch });
  const s3 = createS3(context);
  const all = [
    await createDynamodb(context),
    s3,
    await createKms(context),
    await createNames(context),
    createSts(context, { iam, credentials }),
    createSecretsManager(context),
    sqs,
    sns,
    watch,
    events,
    lambda,
    api,
    createEc2(context, { disks: ecs.disks }),
    ecs,
  ];
  return {
    all,
    chaos: ecs.chaos,
    buckets: s3.buckets,
    functions: lambda,
    alarms: watch.alarms,
    metrics: watch.metrics,
    pages: sns.topics,
    emit: (event) => events.emit(event),
    httpApiUrl: () => api.httpApiUrl(),
  };
}
