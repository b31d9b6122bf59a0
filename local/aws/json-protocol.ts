import {
  type Authorization,
  AwsError,
  type Caller,
  type JsonService,
  type RawRequest,
  type RawResponse,
} from './service.ts';

type Input = Record<string, unknown>;
/** Checks IAM and faults around `run`. */
type Guard = (
  operation: string,
  authorizations: Authorization[],
  run: () => Promise<unknown>,
) => Promise<unknown>;

/** awsJson1_0 and awsJson1_1. */
export async function callJson(
  service: JsonService,
  request: RawRequest,
  caller: Caller,
  guard: Guard,
): Promise<RawResponse> {
  const name = (request.headers['x-amz-target'] ?? '').split('.')[1] ?? '';
  const operation = Object.hasOwn(service.operations, name) ? service.operations[name] : undefined;
  if (!operation) {
    throw new AwsError('UnknownOperationException', `The local cloud has no ${service.name}:${name}.`);
  }
  const input = parse(request.body) as never;
  const output = await guard(name, operation.authorize(input, caller), () => operation.run(input, caller));
  return {
    status: 200,
    headers: { 'content-type': contentType(service) },
    body: JSON.stringify(output ?? {}, dates),
  };
}

export function renderJsonError(service: JsonService, error: AwsError): RawResponse {
  // Clients of services that once spoke the query protocol read the code from this header.
  const queryMode = service.name === 'sqs' || service.name === 'monitoring';
  const { queryCode, ...details } = error.details;
  return {
    status: error.status,
    headers: {
      'content-type': contentType(service),
      ...(queryMode
        ? { 'x-amzn-query-error': `${queryCode ?? error.code};${error.status < 500 ? 'Sender' : 'Receiver'}` }
        : {}),
    },
    body: JSON.stringify({ __type: error.code, message: error.message, ...details }, dates),
  };
}

const contentType = (service: JsonService): string => `application/x-amz-json-${service.jsonVersion}`;

function parse(body: Buffer): Input {
  if (body.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(body.toString());
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Input;
  } catch {
    // Told below, as AWS tells it.
  }
  throw new AwsError('SerializationException', 'The body is not a JSON object.');
}

/** Timestamps are seconds since the epoch; `toJSON` has made a string of a Date before a replacer sees it. */
function dates(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const raw = this[key];
  return raw instanceof Date ? raw.getTime() / 1000 : value;
}
