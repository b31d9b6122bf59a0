import { randomUUID } from 'node:crypto';
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
import { claimTexts, type JwtAuthorizer } from './jwt.ts';

/** An HTTP API (AWS::ApiGatewayV2) with IAM or JWT routes and Lambda proxy payload 2.0 on its `$default` stage. */
export class HttpApi implements Api {
  readonly kind = 'http';
  readonly id: string;
  readonly #context: ApiContext;
  readonly #routes: {
    method: string;
    path: string;
    key: string;
    functionArn: string;
    jwt?: JwtAuthorizer | undefined;
  }[] = [];

  constructor(id: string, context: ApiContext) {
    this.id = id;
    this.#context = context;
  }

  /** `routeKey`: `ANY /v1/{proxy+}` or `$default`. */
  addRoute(routeKey: string, functionArn: string, jwt?: JwtAuthorizer): void {
    const [method = '', path = '$default'] = routeKey.split(' ');
    this.#routes.push({ method, path, key: routeKey, functionArn, jwt });
    const rank = (route: { method: string; path: string }): string =>
      route.path === '$default' ? 'z' : `${specificity(route.path)}${route.method === 'ANY' ? 1 : 0}`;
    this.#routes.sort((a, b) => rank(a).localeCompare(rank(b)));
  }

  match({ request, path, stage }: ApiCall): Route {
    for (const route of this.#routes) {
      if (route.path !== '$default' && route.method !== 'ANY' && route.method !== request.method) continue;
      const parameters = route.path === '$default' ? {} : matchPath(route.path, path);
      if (!parameters) continue;
      return {
        key: route.key,
        resource: route.path,
        parameters,
        functionArn: route.functionArn,
        ...(route.jwt && { jwt: route.jwt }),
        arn: `arn:aws:execute-api:${this.#context.region}:${this.#context.accountId}:${this.id}/${stage}/${request.method}${path}`,
      };
    }
    throw new AwsError('NotFoundException', 'Not Found', 404);
  }

  async invoke(call: ApiCall, route: Route, caller: Caller) {
    const result = await this.#context.invoke(
      route.functionArn,
      this.#event(call, route, caller),
      `arn:aws:execute-api:${this.#context.region}:${this.#context.accountId}:${this.id}/${call.stage}/${route.key.replace(' ', '')}`,
    );
    if (!result.ok)
      return result.error.errorType === 'Sandbox.Timedout'
        ? message(503, 'Service Unavailable')
        : message(500, 'Internal Server Error');
    // Without a status code the whole answer is the body.
    return (
      proxyResponse(result.payload, 'text/plain;charset=UTF-8') ?? {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(result.payload),
      }
    );
  }

  #event({ request, path, stage }: ApiCall, route: Route, caller: Caller): unknown {
    const now = new Date();
    const { cookie, ...headers } = forwardedHeaders(request);
    const query: Record<string, string> = {};
    for (const [name, value] of request.query)
      query[name] = name in query ? `${query[name]},${value}` : value;
    const domainName = `${this.id}.execute-api.${this.#context.region}.amazonaws.com`;
    const { body, isBase64Encoded } = proxyBody(request);
    return {
      version: '2.0',
      routeKey: route.key,
      rawPath: path,
      rawQueryString: request.query.toString(),
      ...(cookie ? { cookies: cookie.split('; ') } : {}),
      headers,
      ...(Object.keys(query).length ? { queryStringParameters: query } : {}),
      requestContext: {
        accountId: this.#context.accountId,
        apiId: this.id,
        authorizer: this.#authorizer(caller),
        domainName,
        domainPrefix: this.id,
        http: {
          method: request.method,
          path,
          protocol: 'HTTP/1.1',
          sourceIp: request.sourceIp,
          userAgent: request.headers['user-agent'] ?? '',
        },
        requestId: randomUUID(),
        routeKey: route.key,
        stage,
        time: apiTime(now),
        timeEpoch: now.getTime(),
      },
      ...(Object.keys(route.parameters).length ? { pathParameters: route.parameters } : {}),
      ...(body ? { body } : {}),
      isBase64Encoded,
    };
  }

  #authorizer(caller: Caller): unknown {
    if (caller.claims) return { jwt: { claims: claimTexts(caller.claims), scopes: null } };
    const userId = this.#context.userId(caller);
    return {
      iam: {
        accessKey: caller.accessKeyId,
        accountId: caller.accountId,
        callerId: userId,
        cognitoIdentity: null,
        principalOrgId: null,
        userArn: caller.principalArn,
        userId,
      },
    };
  }
}
