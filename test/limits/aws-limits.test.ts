import type { ECSClient, RunTaskCommandInput } from '@aws-sdk/client-ecs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { operationItem, tenantItem } from '../../lambdas/adapters/dynamo-items.ts';
import { EcsTaskRuntime } from '../../lambdas/adapters/ecs-task-runtime.ts';
import { SqsDispatcher } from '../../lambdas/adapters/sqs-dispatcher.ts';
import { openJournal } from '../../lambdas/core/journal.ts';
import { duties } from '../../lambdas/core/model/duties.ts';
import { memberNameSchema, tenantIdSchema } from '../../lambdas/core/model/names.ts';
import type { Operation } from '../../lambdas/core/model/operation.ts';
import { type TenantRecord, tenantRecordSchema } from '../../lambdas/core/model/tenant.ts';
import { testCell } from '../contracts/cell.ts';
import { tenantRecord } from '../contracts/tenant-record.ts';
import { itemBytes, largest } from './largest.ts';

/** Limits of AWS, and the largest values that this project's own code makes. Numbers: docs/limits.md. */
const longestTenant = `a${'b'.repeat(38)}`;
const memberName = 'mabcdefgh';

it('has names at their longest', () => {
  expect(tenantIdSchema.safeParse(longestTenant).success).toBe(true);
  expect(tenantIdSchema.safeParse(`${longestTenant}c`).success).toBe(false);
  expect(memberNameSchema.safeParse(memberName).success).toBe(true);
});

describe('RunTask', () => {
  const cell = testCell({ id: 'c8', containerName: 'member' });

  async function sent(volume: 'ebs' | 'ephemeral'): Promise<RunTaskCommandInput> {
    let input: RunTaskCommandInput | undefined;
    const client = {
      send: async (command: { input: RunTaskCommandInput }) => {
        input = command.input;
        return { tasks: [{ taskArn: 'arn' }] };
      },
    } as unknown as ECSClient;
    await new EcsTaskRuntime({ client }).launch({
      cell,
      tenantId: longestTenant,
      memberName,
      zone: 'us-east-1a',
      size: 'xlarge',
      storageGiB: 200,
      volume,
      keepDisk: true,
      work: { snapshotId: 'snap-0123456789abcdef0' },
    });
    return input!;
  }

  it.each(['ebs', 'ephemeral'] as const)(
    'of the longest names stays within every limit (%s)',
    async (volume) => {
      const {
        overrides,
        clientToken = '',
        startedBy = '',
        tags = [],
        volumeConfigurations = [],
      } = await sent(volume);
      expect(JSON.stringify(overrides).length).toBeLessThanOrEqual(8192);
      expect(clientToken.length).toBeLessThanOrEqual(64);
      expect(clientToken).toMatch(/^[!-~]+$/);
      expect(startedBy.length).toBeLessThanOrEqual(128);
      for (const list of [
        tags,
        ...volumeConfigurations.map(
          ({ managedEBSVolume }) => managedEBSVolume?.tagSpecifications?.[0]?.tags ?? [],
        ),
      ]) {
        expect(list.length).toBeGreaterThan(0);
        // ECS adds two tags of its own to volumes.
        expect(list.length).toBeLessThanOrEqual(48);
        for (const { key = '', value = '' } of list) {
          expect(key.length).toBeLessThanOrEqual(128);
          expect(value.length).toBeLessThanOrEqual(256);
        }
      }
    },
  );

  it('tells people why a task is stopped in what StopTask takes', async () => {
    let reason = '';
    const client = {
      send: async ({ input }: { input: { reason: string } }) => {
        reason = input.reason;
      },
    } as unknown as ECSClient;
    await new EcsTaskRuntime({ client }).stop(cell, 'arn', 'x'.repeat(2_000));
    expect(reason).toHaveLength(255);
  });
});

describe('items of the table (400 KB, less what a write adds)', () => {
  const limit = 400 * 1024;
  /** Certificates and messages of AWS are no longer; five voters, a surge learner, one that leaves, and the tasks of a zone that died. */
  const options = { text: 1_000, entries: 12 };

  it('a tenant with everything under way at once, and each text at its longest, is one item', async () => {
    const record = largest(tenantRecordSchema, options) as TenantRecord;
    const item = tenantItem(tenantRecordSchema.parse(record));
    expect(Object.keys(record.members)).toHaveLength(12);
    expect(itemBytes(item)).toBeLessThan(limit);
    // What it is made of is not made smaller on the way.
    expect(itemBytes(item)).toBeGreaterThan(100_000);
  });

  it('an operation of which everything went wrong for days keeps to its limit', async () => {
    const stored: Operation[] = [];
    let second = 0;
    const clock = { now: () => new Date(Date.UTC(2026, 10, 22) + second++ * 10_000), sleep: async () => {} };
    const tenant = tenantRecord('acme', { operation: { operationId: '01OP', kind: 'scale' } });
    const journal = await openJournal(
      {
        store: {
          getOperation: async () => undefined,
          putOperation: async (operation) => void stored.push(operation),
          appendEvent: async () => {},
        },
        clock,
        ids: { ulid: () => '01ARZ3NDEKTSV4RRFFQ69G5FAV' },
        log: { info() {}, warn() {}, error() {} },
      },
      tenant,
    );
    for (let attempt = 0; attempt < 1_000; attempt++)
      journal.failed(`launch-member-${attempt}`, `${attempt} ${'x'.repeat(20_000)}`, clock.now());
    await journal.flush();
    expect(stored).toHaveLength(1_000);
    expect(itemBytes(operationItem(stored.at(-1)!))).toBeLessThan(limit);
  });
});

describe('SQS', () => {
  it('a look at the longest tenant is far below 256 KB, and no delay beyond 15 minutes is sent', async () => {
    const sent: string[] = [];
    const client = {
      send: async ({ input }: { input: { MessageBody: string } }) => void sent.push(input.MessageBody),
    } as unknown as SQSClient;
    const dispatcher = new SqsDispatcher({ queues: testCell().queues, client });
    for (const duty of duties) await dispatcher.look(longestTenant, duty, 900);
    for (const body of sent) expect(body.length).toBeLessThan(1024);
    await expect(dispatcher.look(longestTenant, 'sweep', 901)).rejects.toThrow(RangeError);
  });
});
