import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi } from './support/signed.ts';
import {
  httpApi,
  lambda,
  permission,
  role,
  type SmallCloud,
  startSmallCloud,
} from './support/small-cloud.ts';

const port = 4722;
const inside = '127.72.0.9';
const echo = 'export const handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });';
let small: SmallCloud;

const rest = (id: string, ParentId: unknown, PathPart: string) => ({
  [id]: { Type: 'AWS::ApiGateway::Resource', Properties: { RestApiId: { Ref: 'Rest' }, ParentId, PathPart } },
});

beforeAll(async () => {
  small = await startSmallCloud(
    port,
    { echo },
    {
      ...lambda('Echo'),
      ...httpApi('Echo', ['ANY /v1/{proxy+}', 'GET /v1/versions', 'PUT /v1/tenants/{id}']),
      Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '127.72.0.0/16' } },
      ApiEndpoint: {
        Type: 'AWS::EC2::VPCEndpoint',
        Properties: { VpcId: { Ref: 'Vpc' }, ServiceName: 'com.amazonaws.us-east-1.execute-api' },
      },
      Rest: {
        Type: 'AWS::ApiGateway::RestApi',
        Properties: {
          EndpointConfiguration: { Types: ['PRIVATE'] },
          Policy: {
            Statement: [
              {
                Effect: 'Deny',
                Principal: '*',
                Action: 'execute-api:Invoke',
                Resource: 'execute-api:/*',
                Condition: { StringNotEquals: { 'aws:SourceVpce': { Ref: 'ApiEndpoint' } } },
              },
            ],
          },
        },
      },
      ...rest('Members', { 'Fn::GetAtt': ['Rest', 'RootResourceId'] }, 'members'),
      ...rest('Member', { Ref: 'Members' }, '{name}'),
      Method: {
        Type: 'AWS::ApiGateway::Method',
        Properties: {
          RestApiId: { Ref: 'Rest' },
          ResourceId: { Ref: 'Member' },
          HttpMethod: 'POST',
          AuthorizationType: 'AWS_IAM',
          Integration: {
            Type: 'AWS_PROXY',
            IntegrationHttpMethod: 'POST',
            Uri: {
              'Fn::Join': [
                '',
                [
                  'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/',
                  { 'Fn::GetAtt': ['Echo', 'Arn'] },
                  '/invocations',
                ],
              ],
            },
          },
        },
      },
      Stage: {
        Type: 'AWS::ApiGateway::Stage',
        Properties: { RestApiId: { Ref: 'Rest' }, StageName: 'v1' },
      },
      RestPermission: permission('Echo', 'apigateway', {
        'Fn::Join': [
          '',
          ['arn:aws:execute-api:us-east-1:000000000000:', { Ref: 'Rest' }, '/v1/POST/members/*'],
        ],
      }),
      TaskRole: role('ecs-tasks.amazonaws.com', [
        {
          Effect: 'Allow',
          Action: 'execute-api:Invoke',
          Resource: {
            'Fn::Join': [
              '',
              ['arn:aws:execute-api:us-east-1:000000000000:', { Ref: 'Rest' }, '/v1/POST/members/m1'],
            ],
          },
        },
      ]),
    },
  );
});
afterAll(() => small?.stop());

const ref = (type: string) => small.cloud.registry.resourcesOfType(type)[0]?.ref;
const user = () => small.cloud.credentials;
const restUrl = (path: string) => `${small.cloud.url}/_api/${ref('AWS::ApiGateway::RestApi')}${path}`;
const task = () => {
  const found = small.cloud.registry
    .resourcesOfType('AWS::IAM::Role')
    .find(({ logicalId }) => logicalId === 'TaskRole');
  return small.cloud.assumeRole(found?.attributes?.Arn ?? '', '0123456789abcdef');
};

describe('the HTTP API', () => {
  it('gives payload 2.0 with the caller as IAM sees it', async () => {
    const { status, body } = await callApi(`${small.cloud.apiUrl}/v1/tenants/a%20b?x=1&x=2&y=%C3%BC`, {
      method: 'PUT',
      body: '{"spec":{}}',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k', cookie: 'a=b; c=d' },
      credentials: user(),
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      version: '2.0',
      routeKey: 'PUT /v1/tenants/{id}',
      rawPath: '/v1/tenants/a%20b',
      rawQueryString: 'x=1&x=2&y=%C3%BC',
      cookies: ['a=b', 'c=d'],
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
      queryStringParameters: { x: '1,2', y: 'ü' },
      pathParameters: { id: 'a b' },
      requestContext: {
        accountId: '000000000000',
        apiId: ref('AWS::ApiGatewayV2::Api'),
        authorizer: {
          iam: {
            accessKey: user().accessKeyId,
            accountId: '000000000000',
            callerId: expect.stringMatching(/^AIDA/),
            userArn: 'arn:aws:iam::000000000000:user/local-admin',
          },
        },
        domainName: `${ref('AWS::ApiGatewayV2::Api')}.execute-api.us-east-1.amazonaws.com`,
        http: { method: 'PUT', path: '/v1/tenants/a%20b', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1' },
        routeKey: 'PUT /v1/tenants/{id}',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      body: '{"spec":{}}',
      isBase64Encoded: false,
    });
    expect(body.headers).not.toHaveProperty('cookie');
  });

  it('picks the most specific route, and is also served at /v1 of the endpoint', async () => {
    const route = async (method: string, path: string) =>
      (await callApi(`${small.cloud.url}${path}`, { method, credentials: user() })).body.routeKey;
    expect(await route('GET', '/v1/versions')).toBe('GET /v1/versions');
    expect(await route('DELETE', '/v1/versions')).toBe('ANY /v1/{proxy+}');
    expect(await route('GET', '/v1/tenants/acme/timeline')).toBe('ANY /v1/{proxy+}');
  });

  it('says Not Found for what has no route and Forbidden to who is nobody', async () => {
    expect(await callApi(`${small.cloud.apiUrl}/v2`, { credentials: user() })).toMatchObject({
      status: 404,
      body: { message: 'Not Found' },
    });
    const forbidden = { status: 403, body: { message: 'Forbidden' } };
    expect(await callApi(`${small.cloud.apiUrl}/v1/versions`)).toMatchObject(forbidden);
    const wrong = { ...user(), secretAccessKey: 'wrong' };
    expect(await callApi(`${small.cloud.apiUrl}/v1/versions`, { credentials: wrong })).toMatchObject(
      forbidden,
    );
    // A role without execute-api:Invoke on this API.
    expect(await callApi(`${small.cloud.apiUrl}/v1/versions`, { credentials: task() })).toMatchObject(
      forbidden,
    );
  });
});

describe('the private REST API', () => {
  it('gives payload 1.0 with the caller and the endpoint the call came through', async () => {
    const { status, body } = await callApi(restUrl('/v1/members/m1?a=1&a=2'), {
      method: 'POST',
      body: '{"x":1}',
      credentials: task(),
      localAddress: inside,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      resource: '/members/{name}',
      path: '/members/m1',
      httpMethod: 'POST',
      queryStringParameters: { a: '2' },
      multiValueQueryStringParameters: { a: ['1', '2'] },
      pathParameters: { name: 'm1' },
      stageVariables: null,
      requestContext: {
        resourcePath: '/members/{name}',
        httpMethod: 'POST',
        path: '/v1/members/m1',
        stage: 'v1',
        apiId: ref('AWS::ApiGateway::RestApi'),
        identity: {
          sourceIp: inside,
          caller: expect.stringMatching(/^AROA[0-9A-F]{17}:0123456789abcdef$/),
          userArn: expect.stringMatching(
            /^arn:aws:sts::000000000000:assumed-role\/app-TaskRole-\w+\/0123456789abcdef$/,
          ),
          vpcId: ref('AWS::EC2::VPC'),
          vpceId: ref('AWS::EC2::VPCEndpoint'),
        },
      },
      body: '{"x":1}',
      isBase64Encoded: false,
    });
  });

  it('is closed to calls from outside of the VPC, whoever makes them', async () => {
    const call = { method: 'POST', body: '{}', credentials: user() };
    expect(await callApi(restUrl('/v1/members/m1'), call)).toMatchObject({
      status: 403,
      body: { message: 'Forbidden' },
    });
    expect((await callApi(restUrl('/v1/members/m1'), { ...call, localAddress: inside })).status).toBe(200);
  });

  it('denies other paths with the sentence of IAM, unsigned calls and unknown paths as AWS does', async () => {
    const from = { method: 'POST', body: '{}', localAddress: inside };
    const denied = await callApi(restUrl('/v1/members/m2'), { ...from, credentials: task() });
    expect(denied.status).toBe(403);
    expect(denied.body.message).toMatch(
      /is not authorized to perform: execute-api:Invoke on resource: .*POST\/members\/m2/,
    );
    const missing = { status: 403, body: { message: 'Missing Authentication Token' } };
    expect(await callApi(restUrl('/v1/members/m1'), from)).toMatchObject(missing);
    expect(await callApi(restUrl('/v1/nothing'), { ...from, credentials: user() })).toMatchObject(missing);
  });
});

it('functions that API Gateway may not invoke fail as on AWS', async () => {
  const denied = await startSmallCloud(
    4723,
    { echo },
    { ...lambda('Echo'), ...httpApi('Echo', ['$default']), ApiPermission: permission('Echo', 'events') },
  );
  try {
    const { status, body } = await callApi(`${denied.cloud.apiUrl}/x`, {
      credentials: denied.cloud.credentials,
    });
    expect([status, body]).toEqual([500, { message: 'Internal Server Error' }]);
  } finally {
    await denied.stop();
  }
});
