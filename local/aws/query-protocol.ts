import { type Authorization, AwsError, type Caller, type RawRequest, type RawService } from './service.ts';
import type { Xml } from './xml.ts';

/** A call of the Query protocol: a form whose fields have names such as `Filter.1.Value.2`. */
export type QueryInput = Readonly<Record<string, string>>;

export interface QueryOperation {
  authorize(input: QueryInput, caller: Caller): Authorization[];
  run(input: QueryInput, caller: Caller): Promise<Xml> | Xml;
}

export interface QueryService {
  /** Signing name, e.g. `sts`. */
  readonly name: string;
  readonly operations: Readonly<Record<string, QueryOperation>>;
  /** The whole document of an answer. */
  render(operation: string, content: Xml): string;
  renderError(error: AwsError): string;
}

/** STS (awsQuery) and EC2 (ec2Query) differ in how they wrap their answers only. */
export function queryService(service: QueryService): RawService {
  const read = (request: RawRequest): { name: string; input: QueryInput; operation: QueryOperation } => {
    const { Action: name = '', ...input } = Object.fromEntries(new URLSearchParams(request.body.toString()));
    const operation = Object.hasOwn(service.operations, name) ? service.operations[name] : undefined;
    if (operation === undefined) {
      throw new AwsError('InvalidAction', `The local cloud has no ${service.name}:${name}.`);
    }
    return { name, input, operation };
  };
  const headers = { 'content-type': 'text/xml;charset=UTF-8' };
  return {
    kind: 'raw',
    name: service.name,
    describe(request, caller) {
      const { name, input, operation } = read(request);
      return { operation: name, authorizations: operation.authorize(input, caller) };
    },
    async handle(request, caller) {
      const { name, input, operation } = read(request);
      return { status: 200, headers, body: service.render(name, await operation.run(input, caller)) };
    },
    renderError: (error) => ({ status: error.status, headers, body: service.renderError(error) }),
  };
}

/** Values of `<name>.1`, `<name>.2` and so on. */
export function numbered(input: QueryInput, name: string): string[] {
  const found: string[] = [];
  for (let index = 1; ; index += 1) {
    const value = input[`${name}.${index}`];
    if (value === undefined) return found;
    found.push(value);
  }
}
