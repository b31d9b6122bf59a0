import { createAdmin } from './admin.ts';
import type { BusEvent, CloudContext, ServiceModule } from './aws/service.ts';
import { type CdkContext, synthesize } from './build.ts';
import { type Chaos, createChaos } from './chaos/chaos.ts';
import { readAssembly, type StackTemplate } from './cloudformation/assembly.ts';
import { metadataProvider } from './cloudformation/network.ts';
import { type Outputs, provision } from './cloudformation/provision.ts';
import { ResourceRegistry } from './cloudformation/registry.ts';
import { createStacks, type Stacks } from './cloudformation/stacks.ts';
import { createContext, fileLog, networkContext, usageLog, vpcOf } from './context.ts';
import type { RuntimeName } from './docker.ts';
import { Endpoint } from './endpoint.ts';
import { Faults } from './faults.ts';
import { CredentialStore } from './iam/credentials.ts';
import { Iam } from './iam/iam.ts';
import { createModules, type Modules } from './modules.ts';
import { nodeImageUri } from './node-image.ts';
import { createDockerRuntime } from './services/ecs/docker/docker-runtime.ts';
import {
  administratorKey,
  type CloudFile,
  LocalCloudError,
  lockState,
  processStart,
  readCloudFile,
  writeCloudFile,
} from './state.ts';
import { prepareTaskMachine } from './task-machine.ts';

export interface LocalCloudOptions {
  /** @default 4700 */
  readonly port?: number;
  /** Everything that survives a stop, the secrets included. */
  readonly stateDir: string;
  /** The checkout whose CDK app is run. */
  readonly repoDir: string;
  /** CDK context on top of what the local cloud sets (nodeImageUri, vpcCidr, ephemeral, etcdVersions). */
  readonly context?: CdkContext;
  /** What tasks are: processes of this machine, or containers of its Docker engine. @default process */
  readonly runtime?: RuntimeName | undefined;
  /** `<dir>/<version>/{etcd,etcdctl,etcdutl}`. @default the cache, which is filled when it is empty */
  readonly etcdDir?: string;
  /** Runs these templates instead of the app of `repoDir`: a directory such as cdk.out. */
  readonly assemblyDir?: string;
  /** Changes templates in memory before they are stood up, e.g. takes a permission away. */
  readonly edit?: (stack: StackTemplate) => void;
  /** PATH and the like for the tools that fetch etcd, as the entry point has it. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A line of what is being done, for people. */
  readonly onProgress?: (line: string) => void;
}

export interface LocalCloud {
  readonly url: string;
  /** Base URL of the provisioning API (`<apiUrl>/v1/tenants`). */
  readonly apiUrl: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly outputs: Outputs['outputs'];
  /** Further apps that are deployed to this cloud. */
  readonly stacks: Stacks;
  readonly registry: ResourceRegistry;
  readonly faults: Faults;
  readonly iam: Iam;
  /** Ways to hurt tasks. */
  readonly chaos: Modules['chaos'];
  /** The same as `nanny chaos` has them. */
  readonly hurt: Chaos;
  readonly alarms: Modules['alarms'];
  readonly metrics: Modules['metrics'];
  readonly pages: Modules['pages'];
  emit(event: BusEvent): void;
  /** As a task of this role would get them. @throws AwsError AccessDenied */
  assumeRole: CloudContext['assumeRole'];
  /** Suspends tasks, ends functions, closes the endpoint. State stays. */
  stop(): Promise<void>;
  /** Settles when it has stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
}

export const defaultPort = 4700;
const region = 'us-east-1';
const accountId = '000000000000';

/** @throws LocalCloudError with a sentence for people */
export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const unlock = lockState(options.stateDir);
  try {
    return await start(options, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function start(options: LocalCloudOptions, unlock: () => void): Promise<LocalCloud> {
  const { stateDir, port = defaultPort, onProgress = () => {} } = options;
  const url = `http://127.0.0.1:${port}`;
  const log = fileLog(stateDir);
  const registry = new ResourceRegistry();
  const iam = new Iam({
    accountId,
    region,
    onFirstUse: usageLog(stateDir),
  });
  const credentials = new CredentialStore({ accountId });
  const key = administratorKey(readCloudFile(stateDir));
  credentials.addUser('local-admin', key.accessKeyId, key.secretAccessKey);
  const faults = new Faults();
  const endpoint = new Endpoint({
    credentials,
    iam,
    faults,
    region,
    now: Date.now,
    networkContext: (address, service) => networkContext(registry, address, service),
    log,
  });
  // Listening first: a taken port is told before any work is done.
  await listen(endpoint, port);
  let modules: Modules | undefined;
  const emit = (event: BusEvent): void => modules?.emit(event);
  const started: ServiceModule[] = [];
  try {
    const { assemblyDir, images, engine, vpcCidr } = await build(options, port, onProgress);
    const assembly = readAssembly(assemblyDir);
    if (options.edit) assembly.stacks.forEach(options.edit);
    const assets = new Map(assembly.assets);
    const context = createContext({
      accountId,
      region,
      stateDir,
      endpointUrl: url,
      registry,
      iam,
      credentials,
      endpoint,
      emit,
      log,
    });
    modules = await createModules({
      context,
      iam,
      credentials,
      faults,
      assets,
      images,
      runtime:
        engine &&
        createDockerRuntime({
          engine,
          owner: stateDir,
          vpcCidr,
          endpointUrl: url,
          onGateway: (address) => endpoint.alsoListen(address),
          log,
        }),
      vpcOf: (address) => vpcOf(registry, address, 'execute-api'),
    });
    for (const module of modules.all) for (const service of module.services) endpoint.add(service);
    onProgress(`Standing up ${assembly.stacks.map(({ name }) => name).join(', ')}`);
    const cloudformation = createStacks({
      context,
      functions: modules.functions,
      assembly,
      registry,
      assets,
    });
    const providers = [
      iam.provider(),
      metadataProvider(context),
      cloudformation.provider,
      ...modules.all.flatMap((m) => m.providers),
    ];
    const stood = await provision({ assembly, providers, registry, accountId, region });
    const { outputs } = stood;
    const stacks = await cloudformation.standUp(providers, stood);
    endpoint.open();
    for (const module of modules.all) {
      started.push(module);
      await module.start?.();
    }
    await cloudformation.bring();
    return finish({
      options,
      url,
      port,
      key,
      iam,
      faults,
      registry,
      outputs,
      stacks,
      modules,
      endpoint,
      unlock,
      context,
    });
  } catch (error) {
    for (const module of (modules?.all ?? started).toReversed()) await module.stop?.().catch(() => {});
    await endpoint.close();
    log('start failed', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    if (error instanceof LocalCloudError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new LocalCloudError(message, { cause: error });
  }
}

async function listen(endpoint: Endpoint, port: number): Promise<void> {
  try {
    await endpoint.listen(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new LocalCloudError(
      `Port ${port} of 127.0.0.1 is taken, perhaps by another local cloud: choose another one with --port.`,
    );
  }
}

/** Templates, functions and the nanny, made of the checkout as it is now. */
async function build(options: LocalCloudOptions, port: number, onProgress: (line: string) => void) {
  const { repoDir, stateDir, etcdDir, runtime = 'process', environment = {} } = options;
  if (options.assemblyDir) return { assemblyDir: options.assemblyDir, images: {}, vpcCidr: '' };
  const machine = await prepareTaskMachine({
    runtime,
    // A block for each port, so that several clouds run side by side.
    place: (((port - defaultPort) % 200) + 200) % 200,
    repoDir,
    stateDir,
    etcdDir,
    environment,
    onProgress,
  });
  const context: CdkContext = {
    nodeImageUri,
    ephemeral: true,
    etcdVersions: machine.versions,
    // Cells share the block, at most three.
    vpcCidr: machine.vpcCidr.replace(/16$/, Number(options.context?.cells ?? 1) > 1 ? '19' : '16'),
    ...options.context,
  };
  const vpcCidr = String(context.vpcCidr);
  await machine.requireAddresses(vpcCidr);
  onProgress('Synthesizing the CDK app');
  const { directory, fresh } = await synthesize({ repoDir, stateDir, context });
  if (!fresh) onProgress('Sources are unchanged: templates of the last start');
  return { assemblyDir: directory, images: machine.images, engine: machine.engine, vpcCidr };
}

interface Started {
  readonly options: LocalCloudOptions;
  readonly url: string;
  readonly port: number;
  readonly key: { accessKeyId: string; secretAccessKey: string };
  readonly iam: Iam;
  readonly faults: Faults;
  readonly registry: ResourceRegistry;
  readonly outputs: Outputs['outputs'];
  readonly stacks: Stacks;
  readonly modules: Modules;
  readonly endpoint: Endpoint;
  readonly unlock: () => void;
  readonly context: CloudContext;
}

function finish(parts: Started): LocalCloud {
  const { options, url, port, key, modules, endpoint, faults, iam, context } = parts;
  const apiUrl = modules.httpApiUrl() ?? url;
  const file: CloudFile = { url, apiUrl, port, region, accountId, ...key };
  const hurt = createChaos({
    ecs: modules.chaos,
    faults,
    buckets: modules.buckets,
    emit: context.emit,
    account: { accountId, region },
    zones: () => zonesOf(parts.registry),
    namesOf: (type) => parts.registry.resourcesOfType(type).map(({ ref }) => ref),
  });
  const startedAt = new Date().toISOString();
  writeCloudFile(options.stateDir, {
    ...file,
    pid: process.pid,
    startedAt,
    processStart: processStart(process.pid),
  });
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= hurt
      .heal()
      .then(() => shutDown(parts))
      .finally(() => hurt.close())
      .then(() => writeCloudFile(options.stateDir, file))
      .finally(parts.unlock);
    return stopping;
  };
  let settle: (value: Promise<void>) => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    settle = resolve;
  });
  // Whoever called stop() hears of its failure; nobody has to listen here as well.
  stopped.catch(() => {});
  const stopAndSettle = (): Promise<void> => {
    const result = stop();
    settle(result);
    return result;
  };
  endpoint.mount(
    '/_local/',
    createAdmin({
      port,
      faults,
      chaos: hurt,
      usage: () => iam.usage(),
      stacks: parts.stacks,
      emit: context.emit,
      alarms: modules.alarms,
      pages: modules.pages,
      status: () => ({
        url,
        apiUrl,
        pid: process.pid,
        startedAt,
        stateDir: options.stateDir,
        region,
        accountId,
      }),
      stop: () => void setImmediate(() => void stopAndSettle().catch(() => {})),
    }),
  );
  return {
    url,
    apiUrl,
    region,
    credentials: key,
    outputs: parts.outputs,
    stacks: parts.stacks,
    registry: parts.registry,
    faults,
    iam,
    chaos: modules.chaos,
    hurt,
    alarms: modules.alarms,
    metrics: modules.metrics,
    pages: modules.pages,
    emit: context.emit,
    assumeRole: context.assumeRole,
    stop: stopAndSettle,
    stopped,
  };
}

async function shutDown({ modules, endpoint, context }: Started): Promise<void> {
  const errors: unknown[] = [];
  for (const module of modules.all.toReversed()) {
    try {
      await module.stop?.();
    } catch (error) {
      context.log('a service did not stop cleanly', { error: String(error) });
      errors.push(error);
    }
  }
  await endpoint.close();
  if (errors.length > 0)
    throw new AggregateError(errors, 'The local cloud did not stop cleanly: see logs/cloud.log.');
}

const zonesOf = (registry: ResourceRegistry): string[] => [
  ...new Set(
    registry.resourcesOfType('AWS::EC2::Subnet').map(({ attributes }) => attributes?.AvailabilityZone ?? ''),
  ),
];
