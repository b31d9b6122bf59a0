import { describe, expect, it } from 'vitest';
import { isTransient, translate } from '../../lambdas/adapters/aws-errors.ts';
import { jsonLog } from '../../lambdas/adapters/json-log.ts';
import { randomIds } from '../../lambdas/adapters/random-ids.ts';
import { dueShard, dueShards } from '../../lambdas/core/due-shard.ts';
import { TransientError } from '../../lambdas/core/errors.ts';
import { memberNameSchema } from '../../lambdas/core/model/names.ts';

describe('ids', () => {
  it('gives ULIDs that grow, even within a millisecond and when the clock steps back', () => {
    const times = [1000, 1000, 1000, 400, 2000];
    let call = 0;
    const ids = randomIds({ now: () => new Date(times[call++]!) });
    const made = times.map(() => ids.ulid());
    expect([...made].sort()).toEqual(made);
    expect(new Set(made).size).toBe(made.length);
    for (const id of made) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  });

  it('writes the time into a ULID as the specification does', () => {
    const ids = randomIds({ now: () => new Date(1469918176385) }, (bytes) => Buffer.alloc(bytes));
    expect(ids.ulid()).toBe('01ARYZ6S410000000000000000');
  });

  it('gives member names and tokens of the right form that do not repeat', () => {
    const ids = randomIds({ now: () => new Date() });
    const names = Array.from({ length: 1000 }, () => ids.memberName());
    expect(new Set(names).size).toBe(1000);
    for (const name of names) expect(memberNameSchema.safeParse(name).success).toBe(true);
    expect(ids.clusterToken()).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('the due shard', () => {
  it('never moves a tenant: these are stored', () => {
    expect(['acme', 'demo', 'tenant-000001'].map(dueShard)).toMatchInlineSnapshot(`
      [
        15,
        6,
        11,
      ]
    `);
  });

  it('spreads tenants over all shards', () => {
    const counts = new Array<number>(dueShards).fill(0);
    for (let n = 0; n < 16_000; n++) counts[dueShard(`tenant-${n}`)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(800);
  });
});

describe('the log', () => {
  it('writes one JSON document a line, errors with their cause', () => {
    const lines: string[] = [];
    const clock = { now: () => new Date('2026-11-22T10:00:00Z') };
    const log = jsonLog({ clock, fields: { function: 'create' }, write: (line) => void lines.push(line) });
    log.info('hello\nworld', { tenantId: 'acme' });
    log.error('failed', { error: new TransientError('try again', { cause: new Error('root') }), big: 1n });
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { timestamp: '2026-11-22T10:00:00.000Z', level: 'INFO', message: 'hello\nworld', tenantId: 'acme' },
      {
        level: 'ERROR',
        function: 'create',
        error: { code: 'transient', cause: { message: 'root' } },
        big: '1',
      },
    ]);
    for (const line of lines) expect(line.indexOf('\n')).toBe(line.length - 1);
  });
});

describe('errors of AWS', () => {
  const error = (name: string, over = {}) => Object.assign(new Error('because'), { name, ...over });
  it.each([
    error('ThrottlingException'),
    error('Whatever', { $metadata: { httpStatusCode: 503 } }),
    error('Whatever', { $retryable: { throttling: true } }),
    error('Error', { code: 'ECONNREFUSED' }),
    error('TimeoutError'),
  ])('takes %s for passing', (one) => {
    expect(isTransient(one)).toBe(true);
    expect(translate('sqs:SendMessage', one)).toBeInstanceOf(TransientError);
  });

  it('takes a refusal for final, and names the call', () => {
    const refused = translate('kms:Decrypt', error('InvalidCiphertextException'));
    expect(refused).toMatchObject({ code: 'aws-refused', retryable: false });
    expect(refused.message).toContain('kms:Decrypt');
    expect(translate('kms:Decrypt', error('AccessDeniedException'))).toMatchObject({ code: 'access-denied' });
  });
});
