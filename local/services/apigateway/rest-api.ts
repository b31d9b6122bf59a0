import { randomUUID } from 'node:crypto';
import { stableId } from '../../aws/names.ts';
import { AwsError, type Caller } from '../../aws/service.ts';
import {
  type Api,
  type ApiCall,
  type ApiContext,
  apiTime,
  forwardedHeaders,
  matchPath,
  message,
  proxyBody,
  proxyResponse,
  type Route,
  specificity,
} from './api.ts';

/** A REST API (AWS::ApiGateway) with IAM methods and Lambda proxy payload 1.0. */
export class RestApi implements Api {
  readonly kind = 'rest';
  readonly id: string;
  readonly rootId: string;
  /** Reachable only through an interface endpoint of a VPC. */
  readonly isPrivate: boolean;
  readonly stages = new Set<string>();
  readonly #context: ApiContext;
  readonly #resources = new Map<string, string>();
  readonly #methods: { method: string; resourceId: string; functionArn: string }[] = [];

  constructor(id: string, isPrivate: boolean, context: ApiContext) {
    this.id = id;
    this.isPrivate = isPrivate;
    this.rootId = stableId(10, id, 'root');
    this.#context = context;
    this.#resources.set(this.rootId, '/');
  }

  addResource(parentId: string, pathPart: string): string {
    const parent = this.#resources.get(parentId);
    if (parent === undefined) throw new Error(`API ${this.id} has no resource ${parentId}`);
    const path = `${parent === '/' ? '' : parent}/${pathPart}`;
    const id = stableId(6, this.id, path);
    this.#resources.set(id, path);
    return id;
  }

  addMethod(resourceId: string, method: string, functionArn: string): void {
    this.#methods.push({ method, resourceId, functionArn });
    const rank = (one: { method: string; resourceId: string }): string =>
      `${specificity(this.#resources.get(one.resourceId) ?? '')}${one.method === 'ANY' ? 1 : 0}`;
    this.#methods.sort((a, b) => rank(a).localeCompare(rank(b)));
  }

  match({ request, path, stage, vpcEndpointId }: ApiCall): Route {
    // The public DNS name of a private API does not even resolve; this is what its endpoint says to strangers.
    if (this.isPrivate && !vpcEndpointId) throw new AwsError('ForbiddenException', 'Forbidden', 403);
    if (!this.stages.has(stage)) throw new AwsError('ForbiddenException', 'Forbidden', 403);
    for (const { method, resourceId, functionArn } of this.#methods) {
      const resource = this.#resources.get(resourceId) ?? '';
      const parameters = matchPath(resource, path);
      if (!parameters || (method !== 'ANY' && method !== request.method)) continue;
      const arn = `arn:aws:execute-api:${this.#context.region}:${this.#context.accountId}:${this.id}/${stage}/${request.method}${path}`;
      return { key: `${method} ${resource}`, resource, resourceId, parameters, functionArn, arn };
    }
    throw new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token', 403);
  }

  async invoke(call: ApiCall, route: Route, caller: Caller) {
    const [method = ''] = route.key.split(' ');
    const result = await this.#context.invoke(
      route.functionArn,
      this.#event(call, route, caller),
      `arn:aws:execute-api:${this.#context.region}:${this.#context.accountId}:${this.id}/${call.stage}/${method}${route.resource}`,
    );
    if (!result.ok)
      return result.error.errorType === 'Sandbox.Timedout'
        ? message(504, 'Endpoint request timed out')
        : message(502, 'Internal server error');
    return proxyResponse(result.payload, 'application/json') ?? message(502, 'Internal server error');
  }

  #event(call: ApiCall, route: Route, caller: Caller): unknown {
    const { request, path, stage } = call;
    const now = new Date();
    const query = new Map<string, string[]>();
    for (const [name, value] of request.query) query.set(name, [...(query.get(name) ?? []), value]);
    const userId = this.#context.userId(caller);
    const { body, isBase64Encoded } = proxyBody(request);
    const requestId = randomUUID();
    const headers = forwardedHeaders(request);
    return {
      resource: route.resource,
      path,
      httpMethod: request.method,
      headers,
      multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
      queryStringParameters: query.size
        ? Object.fromEntries([...query].map(([name, values]) => [name, values.at(-1)]))
        : null,
      multiValueQueryStringParameters: query.size ? Object.fromEntries(query) : null,
      pathParameters: Object.keys(route.parameters).length ? route.parameters : null,
      stageVariables: null,
      requestContext: {
        resourceId: route.resourceId,
        resourcePath: route.resource,
        httpMethod: request.method,
        extendedRequestId: requestId,
        requestTime: apiTime(now),
        path: `/${stage}${path}`,
        accountId: this.#context.accountId,
        protocol: 'HTTP/1.1',
        stage,
        domainPrefix: this.id,
        requestTimeEpoch: now.getTime(),
        requestId,
        identity: {
          cognitoIdentityPoolId: null,
          accountId: caller.accountId,
          cognitoIdentityId: null,
          caller: userId,
          sourceIp: request.sourceIp,
          principalOrgId: null,
          accessKey: caller.accessKeyId,
          cognitoAuthenticationType: null,
          cognitoAuthenticationProvider: null,
          userArn: caller.principalArn,
          userAgent: request.headers['user-agent'] ?? '',
          user: userId,
          ...(call.vpcId ? { vpcId: call.vpcId, vpceId: call.vpcEndpointId } : {}),
        },
        domainName: `${this.id}.execute-api.${this.#context.region}.amazonaws.com`,
        deploymentId: stableId(6, this.id, 'deployment'),
        apiId: this.id,
      },
      body: body === '' ? null : body,
      isBase64Encoded,
    };
  }
}
