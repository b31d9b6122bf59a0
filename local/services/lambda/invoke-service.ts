import { AwsError, type CloudContext, type RawRequest, type RawService } from '../../aws/service.ts';

export interface InvokeServiceDeps {
  readonly context: Pick<CloudContext, 'accountId' | 'region'>;
  /** @throws Error when there is no such function */
  readonly functionArnOf: (nameOrArn: string) => string;
  readonly invokeLater: (functionArn: string, event: unknown) => void;
}

/** Lambda's wire protocol (restJson1), as far as functions of this project call each other: Invoke with type Event. */
export function invokeService({ functionArnOf, invokeLater }: InvokeServiceDeps): RawService {
  const target = ({ method, path }: Pick<RawRequest, 'method' | 'path'>): string => {
    const [, name] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(path) ?? [];
    if (method !== 'POST' || name === undefined)
      throw new AwsError(
        'UnknownOperationException',
        `The local cloud has no lambda:${method} ${path}.`,
        404,
      );
    try {
      return functionArnOf(decodeURIComponent(name));
    } catch (error) {
      throw new AwsError('ResourceNotFoundException', (error as Error).message, 404);
    }
  };
  return {
    kind: 'raw',
    name: 'lambda',
    describe: (request) => ({
      operation: 'Invoke',
      authorizations: [{ action: 'lambda:InvokeFunction', resource: target(request) }],
    }),
    async handle(request) {
      if (request.headers['x-amz-invocation-type'] !== 'Event')
        throw new AwsError(
          'InvalidParameterValueException',
          'The local cloud has the invocation type Event only.',
        );
      invokeLater(target(request), JSON.parse(request.body.toString() || 'null'));
      return { status: 202 };
    },
    renderError: (error) => ({
      status: error.status,
      headers: { 'content-type': 'application/json', 'x-amzn-errortype': error.code },
      body: JSON.stringify({ Type: 'User', message: error.message }),
    }),
  };
}
