import { expect, test } from 'vitest';
import { InvalidRequestError } from '../../../lambdas/core/errors.ts';
import { parseEnv } from '../../../node-image/src/env.ts';

const good = {
  NANNY_JOIN_URL: 'https://abc.execute-api.eu-central-1.amazonaws.com/prod/',
  NANNY_DATA_DIR: '/var/lib/etcd',
  NANNY_ETCD_DIR: '/opt/etcd',
  NANNY_TENANT: 'acme',
  NANNY_MEMBER: 'maaaaaaa1',
  AWS_REGION: 'eu-central-1',
  ECS_CONTAINER_METADATA_URI_V4: 'http://169.254.170.2/v4/abc',
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/abc',
};

test('takes what ECS gives', () => {
  expect(parseEnv(good)).toMatchObject({
    joinUrl: 'https://abc.execute-api.eu-central-1.amazonaws.com/prod',
    tenantId: 'acme',
    credentials: { uri: 'http://169.254.170.2/v2/credentials/abc' },
  });
});

test('prefers the full credentials address', () => {
  const env = parseEnv({ ...good, AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9/creds' });
  expect(env.credentials.uri).toBe('http://127.0.0.1:9/creds');
});

test('names every variable that is missing or wrong in one sentence', () => {
  try {
    parseEnv({
      ...good,
      NANNY_TENANT: 'Acme!',
      NANNY_JOIN_URL: undefined,
      AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: undefined,
    });
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidRequestError);
    const { problems, message } = error as InvalidRequestError;
    expect(problems.map(({ field }) => field).sort()).toEqual([
      'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
      'NANNY_JOIN_URL',
      'NANNY_TENANT',
    ]);
    expect(message).toContain('NANNY_JOIN_URL is not set');
    expect(message).toContain('started by ECS');
  }
});
