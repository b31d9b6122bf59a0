import { expect, test } from 'vitest';
import { emulatorOf } from './endpoint.ts';

test('says clearly that it needs an emulator', () => {
  expect(emulatorOf({})).toMatchObject({
    problem: expect.stringMatching(/needs an emulator.*AWS_ENDPOINT_URL/),
  });
  expect(emulatorOf({ AWS_ENDPOINT_URL: 'nowhere' })).toEqual({
    problem: 'AWS_ENDPOINT_URL is no URL: nowhere',
  });
});

test('never goes to AWS itself, and takes no credentials along', () => {
  for (const host of [
    'amazonaws.com',
    'cloudformation.eu-west-1.amazonaws.com',
    'sts.cn-north-1.amazonaws.com.cn',
  ])
    expect(emulatorOf({ AWS_ENDPOINT_URL: `https://${host}` })).toMatchObject({
      problem: expect.stringContaining('emulators only'),
    });
  const target = emulatorOf({
    AWS_ENDPOINT_URL: 'http://127.0.0.1:4566',
    AWS_ACCESS_KEY_ID: 'real',
    AWS_PROFILE: 'production',
    AWS_SESSION_TOKEN: 'real',
  });
  expect(JSON.stringify(target)).not.toMatch(/real|production/);
});
