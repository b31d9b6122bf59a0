import { physicalName, stableHex, stableId } from '../../aws/names.ts';
import {
  AwsError,
  type Caller,
  type CloudContext,
  type Provisioned,
  type RawRequest,
  type RawService,
  type ServiceModule,
  type TemplateResource,
} from '../../aws/service.ts';
import type { Iam } from '../../iam/iam.ts';
import type { CloudWatch } from '../cloudwatch/index.ts';
import { ThrottledError } from '../lambda/function.ts';
import type { Invoker } from '../lambda/index.ts';
import { type Api, type ApiCall, type ApiContext, functionArnOf, message, type Route } from './api.ts';
import { HttpApi } from './http-api.ts';
import { type JwtAuthorizer, jwtAuthorizer } from './jwt.ts';
import { RestApi } from './rest-api.ts';

export interface ApiGatewayDeps {
  readonly iam: Iam;
  readonly functions: Invoker;
  /** VPC that an address lies in, and its interface endpoint of execute-api. */
  readonly vpcOf: (sourceIp: string) => { vpcId: string; vpcEndpointId?: string } | undefined;
  readonly watch: Pick<CloudWatch, 'count'>;
}

export interface ApiGateway extends ServiceModule {
  /** Where the HTTP API is served, when there is exactly one. */
  httpApiUrl(): string | undefined;
}

/** Nothing is behind these here: no throttling plans, models or log roles. */
const acceptedTypes = [
  'AWS::ApiGateway::Deployment',
  'AWS::ApiGateway::Account',
  'AWS::ApiGatewayV2::Deployment',
];

export function createApiGateway(context: CloudContext, deps: ApiGatewayDeps): ApiGateway {
  const apis = new Map<string, Api>();
  const integrations = new Map<string, string>();
  const authorizers = new Map<string, JwtAuthorizer>();

  const apiContext: ApiContext = {
    accountId: context.accountId,
    region: context.region,
    userId: (caller) => deps.iam.userId(caller),
    async invoke(functionArn, event, sourceArn) {
      try {
        return await deps.functions.invoke(functionArn, event, {
          service: 'apigateway.amazonaws.com',
          sourceArn,
        });
      } catch (error) {
        if (error instanceof ThrottledError)
          throw new AwsError('TooManyRequestsException', error.message, 429);
        context.log('function not invoked', { function: functionArn, error: String(error) });
        return { ok: false, error: { errorType: 'Error', errorMessage: String(error), trace: [] } };
      }
    },
  };

  /** `/_api/<apiId>/<rest>`, and `/v1/...` for the only HTTP API. */
  function locate(request: Pick<RawRequest, 'path'>): { api: Api; path: string; stage: string } {
    const [, apiId, below = '/'] = /^\/_api\/([a-z0-9]+)(\/.*)?$/.exec(request.path) ?? [];
    const api = apiId ? apis.get(apiId) : onlyHttpApi();
    if (!api) throw new AwsError('NotFoundException', 'Not Found', 404);
    const path = apiId ? below : request.path;
    if (api.kind === 'http') return { api, path, stage: '$default' };
    const [, stage = '', rest = '/'] = /^\/([^/]*)(\/.*)?$/.exec(path) ?? [];
    return { api, path: rest, stage };
  }

  function onlyHttpApi(): Api | undefined {
    const all = [...apis.values()].filter(({ kind }) => kind === 'http');
    return all.length === 1 ? all[0] : undefined;
  }

  function callOf(request: RawRequest): { api: Api; call: ApiCall } {
    const { api, path, stage } = locate(request);
    return { api, call: { request, path, stage, ...deps.vpcOf(request.sourceIp) } };
  }

  const service: RawService = {
    kind: 'raw',
    name: 'execute-api',
    identify(request) {
      let route: Route;
      try {
        const { api, call } = callOf({ ...request, body: Buffer.alloc(0) });
        route = api.match(call);
      } catch {
        // What is wrong with it is told after the signature, as ever.
        return undefined;
      }
      return route.jwt?.check(request.headers.authorization).then((claims) => ({
        accessKeyId: '',
        accountId: context.accountId,
        principalArn: `${String(claims.iss)}#${String(claims.sub)}`,
        claims,
      }));
    },
    describe(request) {
      const { api, call } = callOf(request);
      const route = api.match(call);
      if (api instanceof RestApi && api.isPrivate && deps.iam.resourcePolicy(route.arn).length === 0)
        throw new AwsError(
          'ForbiddenException',
          'A private REST API without resource policy is closed.',
          403,
        );
      return {
        operation: route.key,
        authorizations: route.jwt ? [] : [{ action: 'execute-api:Invoke', resource: route.arn }],
      };
    },
    async handle(request: RawRequest, caller: Caller) {
      const { api, call } = callOf(request);
      const told = (status: number) =>
        deps.watch.count('AWS/ApiGateway', '5xx', { ApiId: api.id }, status >= 500 ? 1 : 0);
      try {
        const answer = await api.invoke(call, api.match(call), caller);
        told(answer.status);
        return answer;
      } catch (error) {
        told(error instanceof AwsError ? error.status : 500);
        throw error;
      }
    },
    renderError(error, request) {
      let kind: Api['kind'] = 'http';
      try {
        kind = locate(request).api.kind;
      } catch {
        // No such API: the format of HTTP APIs.
      }
      const answer = message(error.status, errorText(kind, error));
      const challenge = error.details['www-authenticate'];
      return {
        ...answer,
        headers: {
          ...answer.headers,
          'x-amzn-errortype': error.code,
          ...(typeof challenge === 'string' && { 'www-authenticate': challenge }),
        },
      };
    },
  };

  return {
    services: [service],
    providers: [
      {
        types: [
          'AWS::ApiGatewayV2::Api',
          'AWS::ApiGatewayV2::Authorizer',
          'AWS::ApiGatewayV2::Integration',
          'AWS::ApiGatewayV2::Route',
          'AWS::ApiGatewayV2::Stage',
        ],
        provision: async (resource) => provisionHttp(resource),
      },
      {
        types: [
          'AWS::ApiGateway::RestApi',
          'AWS::ApiGateway::Resource',
          'AWS::ApiGateway::Method',
          'AWS::ApiGateway::Stage',
        ],
        provision: async (resource) => provisionRest(resource),
      },
      {
        types: acceptedTypes,
        provision: async (resource) => ({
          ref: physicalName(resource),
          attributes: {
            Id: physicalName(resource),
            DeploymentId: stableId(6, resource.stack, resource.logicalId),
          },
        }),
      },
    ],
    httpApiUrl() {
      const api = onlyHttpApi();
      return api ? `${context.endpointUrl}/_api/${api.id}` : undefined;
    },
  };

  function provisionHttp({ type, stack, logicalId, properties }: TemplateResource): Provisioned {
    const id = stableId(10, stack, logicalId);
    if (type === 'AWS::ApiGatewayV2::Api') {
      if (properties.ProtocolType !== 'HTTP') throw new Error('only HTTP APIs are known');
      apis.set(id, new HttpApi(id, apiContext));
      const ApiEndpoint = `https://${id}.execute-api.${context.region}.amazonaws.com`;
      return { ref: id, attributes: { ApiId: id, ApiEndpoint } };
    }
    if (type === 'AWS::ApiGatewayV2::Authorizer') {
      const { AuthorizerType, IdentitySource, JwtConfiguration } = properties;
      if (AuthorizerType !== 'JWT' || String(IdentitySource) !== '$request.header.Authorization')
        throw new Error('only JWT authorizers of the header Authorization are known');
      const { Issuer: issuer, Audience: audience } = JwtConfiguration;
      authorizers.set(id, jwtAuthorizer({ issuer, audience, now: Date.now, fetch }));
      return { ref: id, attributes: { AuthorizerId: id } };
    }
    if (type === 'AWS::ApiGatewayV2::Integration') {
      if (properties.IntegrationType !== 'AWS_PROXY' || properties.PayloadFormatVersion !== '2.0')
        throw new Error('only Lambda proxy integrations with payload format 2.0 are known');
      integrations.set(id, functionArnOf(properties.IntegrationUri));
      return { ref: id, attributes: { IntegrationId: id } };
    }
    if (type === 'AWS::ApiGatewayV2::Stage') {
      if (properties.StageName !== '$default') throw new Error('only the stage $default is known');
      return { ref: '$default' };
    }
    const api = apis.get(properties.ApiId);
    const functionArn = integrations.get(String(properties.Target).replace('integrations/', ''));
    if (!(api instanceof HttpApi) || !functionArn) throw new Error('its API or integration is not known');
    const jwt = properties.AuthorizationType === 'JWT' ? authorizers.get(properties.AuthorizerId) : undefined;
    if (jwt === undefined) requireIam(properties.AuthorizationType);
    if (properties.AuthorizationScopes) throw new Error('scopes of routes are not known');
    api.addRoute(properties.RouteKey, functionArn, jwt);
    return { ref: id, attributes: { RouteId: id } };
  }

  function provisionRest({ type, stack, logicalId, properties }: TemplateResource): Provisioned {
    if (type === 'AWS::ApiGateway::RestApi') {
      if (properties.Body || properties.BodyS3Location) throw new Error('OpenAPI bodies are not known');
      const id = stableId(10, stack, logicalId);
      const isPrivate = (properties.EndpointConfiguration?.Types ?? []).includes('PRIVATE');
      const api = new RestApi(id, isPrivate, apiContext);
      apis.set(id, api);
      const arn = `arn:aws:execute-api:${context.region}:${context.accountId}:${id}`;
      if (properties.Policy) deps.iam.setResourcePolicy(arn, expandResources(properties.Policy, arn));
      return { ref: id, attributes: { RestApiId: id, RootResourceId: api.rootId } };
    }
    const api = apis.get(properties.RestApiId);
    if (!(api instanceof RestApi)) throw new Error('its API is not known');
    if (type === 'AWS::ApiGateway::Stage') {
      api.stages.add(properties.StageName);
      return { ref: properties.StageName };
    }
    if (type === 'AWS::ApiGateway::Resource') {
      const ref = api.addResource(properties.ParentId, properties.PathPart);
      return { ref, attributes: { ResourceId: ref } };
    }
    requireIam(properties.AuthorizationType);
    if (properties.Integration?.Type !== 'AWS_PROXY')
      throw new Error('only Lambda proxy integrations are known');
    api.addMethod(properties.ResourceId, properties.HttpMethod, functionArnOf(properties.Integration.Uri));
    return { ref: `method-${stableHex(8, stack, logicalId)}` };
  }
}

function requireIam(authorization: unknown): void {
  if (authorization !== 'AWS_IAM')
    throw new Error(`authorization ${authorization ?? 'NONE'} is not known, only AWS_IAM`);
}

/** In the policy of an API `execute-api:/stage/...` is short for the whole ARN. */
function expandResources(policy: unknown, arn: string): unknown {
  return JSON.parse(JSON.stringify(policy).replaceAll('"execute-api:/', `"${arn}/`));
}

/** HTTP APIs tell nobody why; REST APIs do. */
function errorText(kind: Api['kind'], error: AwsError): string {
  if (kind === 'http' && error.status === 403) return 'Forbidden';
  if (error.code === 'MissingAuthenticationTokenException') return 'Missing Authentication Token';
  return error.message;
}
