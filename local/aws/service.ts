import type { Statement } from '../iam/document.ts';

/**
 * The seams of the local cloud. One HTTP endpoint (local/endpoint.ts) checks the signature, asks the service what the
 * call needs, checks IAM, applies fault rules, and lets the service answer.
 */

export interface Caller {
  readonly accessKeyId: string;
  readonly accountId: string;
  /** `arn:aws:sts::<acct>:assumed-role/<role>/<session>` or `arn:aws:iam::<acct>:user/<name>`. */
  readonly principalArn: string;
  /** Set for assumed roles: whose policies apply. */
  readonly roleArn?: string;
  readonly sessionName?: string;
  /** Given to AssumeRole: the session may do what the role may and this allows too. */
  readonly sessionPolicy?: readonly Statement[];
}

export interface RawRequest {
  readonly method: string;
  /** Undecoded path without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Empty when `stream` is set. */
  readonly body: Buffer;
  /** The body as it arrives, undecoded: only for services with `streamsBody`, which must read it to its end. */
  readonly stream?: NodeJS.ReadableStream;
  /** TCP peer address. */
  readonly sourceIp: string;
}

export interface RawResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string | NodeJS.ReadableStream;
}

/** One thing IAM has to allow: all authorizations of a call must pass. */
export interface Authorization {
  /** `ecs:RunTask` */
  readonly action: string;
  /** ARNs; `*` where the action has no resource. */
  readonly resource: string;
  /** Condition keys of this call, e.g. `ecs:cluster`, `kms:EncryptionContext:tenant`, `iam:PassedToService`. */
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
}

export interface JsonOperation {
  authorize(input: never, caller: Caller): Authorization[];
  run(input: never, caller: Caller): Promise<unknown>;
}

/** awsJson1_0 / awsJson1_1: `x-amz-target: <targetPrefix>.<Operation>`. */
export interface JsonService {
  readonly kind: 'json';
  /** Signing name, e.g. `ecs`. */
  readonly name: string;
  readonly targetPrefix: string;
  readonly jsonVersion: '1.0' | '1.1';
  readonly operations: Readonly<Record<string, JsonOperation>>;
}

/** Services with a protocol of their own (S3, execute-api, DynamoDB by dynalite). */
export interface RawService {
  readonly kind: 'raw';
  readonly name: string;
  /**
   * The endpoint must not read the body but hand it over as `stream` (S3: uploads in constant memory). The service
   * then checks a hexadecimal x-amz-content-sha256 against what it read; the signature covers that header.
   */
  readonly streamsBody?: boolean;
  /** Operation name for faults and logs, and what IAM has to allow. */
  describe(request: RawRequest, caller: Caller): { operation: string; authorizations: Authorization[] };
  handle(request: RawRequest, caller: Caller): Promise<RawResponse>;
  /** Renders an error in the service's own format. */
  renderError(error: AwsError, request: { method: string; path: string }): RawResponse;
}

export type Service = (JsonService | RawService) & { start?(): Promise<void>; stop?(): Promise<void> };

/** An error as AWS would answer it. */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  /** Further members of the error document. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, status = 400, details: Record<string, unknown> = {}) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** A resource of a template, properties resolved. */
export interface TemplateResource {
  readonly type: string;
  readonly stack: string;
  readonly logicalId: string;
  // biome-ignore lint/suspicious/noExplicitAny: properties are whatever the template says; providers parse what they use
  readonly properties: any;
  /** The same as the template writes them: intrinsic functions unresolved. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly written?: any;
  /** `Metadata` of the template's resource. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface Provisioned {
  /** What `Ref` gives. Must be the same at every start of the same template. */
  readonly ref: string;
  /** What `Fn::GetAtt` gives. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Stands up resources of some types. Called in dependency order at every start of the local cloud. */
export interface ResourceProvider {
  readonly types: readonly string[];
  provision(resource: TemplateResource): Promise<Provisioned>;
}

/** A resource that stands. */
export interface RegisteredResource extends TemplateResource, Provisioned {}

/**
 * All resources provisioned so far, in dependency order. Network resources live only here (nothing behind them):
 * `AWS::EC2::Subnet` has ref `subnet-...`, properties CidrBlock, AvailabilityZone, VpcId; `AWS::EC2::VPC`,
 * `AWS::EC2::SecurityGroup`, `AWS::EC2::VPCEndpoint`, `AWS::Logs::LogGroup` (ref = name) likewise, properties resolved.
 */
export interface Registry {
  resourcesOfType(type: string): RegisteredResource[];
  /** By what `Ref` gives, e.g. `subnet-0a1b...`. */
  byRef(type: string, ref: string): RegisteredResource | undefined;
  /** By attribute `Arn` or ref, whatever the type. */
  byArn(arn: string): RegisteredResource | undefined;
}

/**
 * What each folder of `local/services` gives: its `index.ts` exports
 * `createModule(context: CloudContext): ServiceModule | Promise<ServiceModule>`.
 * Order at start: createModule of all → endpoint listens → provision of all resources → start of all modules.
 * At stop: stop of all modules in reverse order, then the endpoint closes.
 */
export interface ServiceModule {
  readonly services: readonly Service[];
  readonly providers: readonly ResourceProvider[];
  /** Only the module of SQS. */
  readonly queues?: QueueAccess;
  start?(): Promise<void>;
  stop?(): Promise<void>;
}

export type CreateModule = (context: CloudContext) => ServiceModule | Promise<ServiceModule>;

/** An event on the default bus. */
export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: unknown;
  readonly resources: readonly string[];
}

/** What the cloud gives to its services. */
export interface CloudContext {
  readonly accountId: string;
  readonly region: string;
  /** Folder of this cloud's state; each service keeps its own file or folder below it. */
  readonly stateDir: string;
  /** `http://127.0.0.1:<port>` */
  readonly endpointUrl: string;
  log(message: string, fields?: Record<string, unknown>): void;
  /** Puts an event on the default bus: rules of the templates see it. */
  emit(event: BusEvent): void;
  /** Resources of the templates that stand already. */
  readonly registry: Registry;
  /**
   * Fresh temporary credentials for a role, as STS would give them. The role's trust policy must allow the service,
   * `ecs-tasks.amazonaws.com` unless told otherwise. @throws AwsError AccessDenied
   */
  assumeRole(roleArn: string, sessionName: string, servicePrincipal?: string): TemporaryCredentials;
  /**
   * Decides what a service asks for by itself: with the rights of a role (ECS using the infrastructure role), or of its
   * caller (S3 using a key).
   * @throws AwsError AccessDeniedException
   */
  authorize(who: string | Caller, authorization: Authorization): void;
  /** Rewrites hosts that only AWS's DNS knows (execute-api) to this endpoint, for environments handed to processes. */
  rewriteHosts(text: string): string;
  /**
   * A path of the endpoint that is served without signature (task metadata, container credentials).
   * `prefix` such as `/_ecs/`; must stay below `/_`.
   */
  mount(prefix: string, handler: (request: RawRequest) => Promise<RawResponse>): void;
}

export interface TemporaryCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

/** What SQS offers to the event source mappings, besides its wire protocol. */
export interface QueueAccess {
  /** Long-polls up to `waitMs`. Messages turn invisible for the queue's visibility timeout. */
  receive(queueArn: string, max: number, waitMs: number): Promise<QueueMessage[]>;
  delete(queueArn: string, receiptHandles: readonly string[]): Promise<void>;
  /** Messages that were received become visible after `seconds` instead of their queue's time-out. */
  release?(queueArn: string, receiptHandles: readonly string[], seconds: number): Promise<void>;
  /** For rules and redrive: puts a message as AWS itself would. */
  put(queueArn: string, body: string): Promise<void>;
  /** What SQS tells CloudWatch of each queue. */
  figures?(): readonly {
    readonly name: string;
    readonly visible: number;
    readonly oldestAgeSeconds: number;
  }[];
  /** Asked at every message that is put, whoever puts it: `faults.messages`. The delay comes on top of the message's own. */
  hurtWith?(faults: () => { readonly duplicate: boolean; readonly delaySeconds: number }): void;
}

export interface QueueMessage {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
}
