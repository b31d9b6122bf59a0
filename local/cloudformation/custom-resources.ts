import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { CloudContext, RawRequest, RawResponse } from '../aws/service.ts';
import type { Invoker } from '../services/lambda/index.ts';

export interface CustomRequest {
  readonly requestType: 'Create' | 'Update' | 'Delete';
  readonly stack: string;
  readonly logicalId: string;
  readonly type: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly physicalId?: string;
  readonly oldProperties?: Readonly<Record<string, unknown>>;
}

export interface CustomAnswer {
  readonly physicalId: string;
  readonly data: Readonly<Record<string, string>>;
}

/** The function said FAILED, or nothing. `physicalId` is what it stands for all the same. */
export class CustomResourceError extends Error {
  readonly physicalId: string | undefined;

  constructor(message: string, physicalId?: string) {
    super(message);
    this.physicalId = physicalId;
  }
}

export const isCustom = (type: string): boolean =>
  type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource';

const answerSchema = z.object({
  Status: z.enum(['SUCCESS', 'FAILED']),
  Reason: z.string().optional(),
  PhysicalResourceId: z.string().min(1).max(1024).optional(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  Data: z.record(z.string(), z.unknown()).optional(),
});
type Answer = z.infer<typeof answerSchema>;

const prefix = '/_cfn/';
/** Bytes that CloudFormation takes of an answer. */
const maxAnswer = 4096;
const defaultTimeoutSeconds = 3600;

/** Sends events to the functions of custom resources and waits for what they put to the response URL. */
export class CustomResources {
  readonly #context: Pick<CloudContext, 'accountId' | 'region' | 'endpointUrl'>;
  readonly #functions: Pick<Invoker, 'invokeLater'>;
  readonly #waiting = new Map<string, (answer: Answer) => void>();

  constructor(context: CloudContext, functions: Pick<Invoker, 'invokeLater'>) {
    this.#context = context;
    this.#functions = functions;
    context.mount(prefix, async (request) => this.#receive(request));
  }

  /** @throws CustomResourceError */
  async send(request: CustomRequest): Promise<CustomAnswer> {
    const { accountId, region, endpointUrl } = this.#context;
    const { ServiceToken, ServiceTimeout = defaultTimeoutSeconds } = request.properties;
    const id = randomUUID();
    const event = {
      RequestType: request.requestType,
      ServiceToken,
      ResponseURL: `${endpointUrl}${prefix}${id}`,
      StackId: `arn:aws:cloudformation:${region}:${accountId}:stack/${request.stack}/local`,
      RequestId: randomUUID(),
      LogicalResourceId: request.logicalId,
      ResourceType: request.type,
      ...(request.physicalId === undefined ? {} : { PhysicalResourceId: request.physicalId }),
      ResourceProperties: asText(request.properties),
      ...(request.oldProperties === undefined
        ? {}
        : { OldResourceProperties: asText(request.oldProperties) }),
    };
    const seconds = Number(ServiceTimeout);
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        this.#waiting.set(id, resolve);
        timer = setTimeout(
          () =>
            reject(
              new CustomResourceError(
                `CloudFormation did not receive a response from your Custom Resource within ${seconds} s (request ${event.RequestId}).`,
                request.physicalId,
              ),
            ),
          seconds * 1000,
        );
        this.#functions.invokeLater(String(ServiceToken), event);
      });
      const physicalId = answer.PhysicalResourceId ?? request.physicalId;
      if (answer.RequestId !== event.RequestId || answer.LogicalResourceId !== request.logicalId)
        throw new CustomResourceError('The response is for another request.', request.physicalId);
      if (answer.Status === 'FAILED')
        throw new CustomResourceError(answer.Reason ?? 'The response gives no reason.', physicalId);
      if (physicalId === undefined)
        throw new CustomResourceError('The response has no PhysicalResourceId.', request.physicalId);
      const data = Object.entries(answer.Data ?? {}).map(([key, value]) => [key, String(value)] as const);
      return { physicalId, data: Object.fromEntries(data) };
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #receive({ method, path, body }: RawRequest): RawResponse {
    const settle = this.#waiting.get(path.slice(prefix.length));
    if (method !== 'PUT' || !settle) return { status: 403, body: 'AccessDenied' };
    const parsed = body.length <= maxAnswer ? answerSchema.safeParse(json(body)) : undefined;
    if (!parsed?.success) return { status: 400, body: 'Response object is not valid.' };
    settle(parsed.data);
    return { status: 200 };
  }
}

/** CloudFormation hands every scalar over as text. */
function asText(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asText);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asText(item)]));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
}

function json(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
