import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Operation, TimelineEvent } from '../../lambdas/core/model/operation.ts';
import type { StackTemplate } from '../../local/cloudformation/assembly.ts';
import { testCloud } from './support/cloud.ts';
import { until } from './support/until.ts';

/**
 * The create function without one of its rights, right by right: the call that needs it is refused, people are told
 * which, and once the right is back the cluster comes to be. Started once with the whole templates, so that the
 * statements can be read from what was synthesized.
 */
const cloud = await testCloud();
const whole = join(cloud.stateDir, 'cdk.out');
afterAll(() => cloud.dispose());

interface Statement {
  readonly Sid?: string;
  readonly Action: string | readonly string[];
}

/** Rights that AWS itself uses in the name of the role: nothing in the function's own calls misses them here. */
const usedByAws: Readonly<Record<string, string>> = {
  FindZone: 'Cloud Map looks for the hosted zone by itself',
  NetworkInterfaces: 'Lambda puts the function into its VPC',
  WriteLogs: "Lambda writes the function's output",
};

const statements = statementsOf(whole);
const named = statements.filter(({ Sid }) => Sid !== undefined && !(Sid in usedByAws));

/** Without these two nothing can be written into the operation; the function's own log has it. */
const onlyInLog = ['ReadItems', 'WriteItems'];

/** Rights that are needed only when something goes wrong: what does, and how many members that takes. */
const provoke: Readonly<Record<string, { members: number; kind: 'refuse' | 'start'; zones: string[] }>> = {
  // Without a fault one look may be enough for a small cluster.
  SendLooks: { members: 1, kind: 'refuse', zones: ['a', 'b', 'c'] },
  ListTasks: { members: 1, kind: 'start', zones: ['a', 'b', 'c'] },
  // The tasks in the other two zones have to go.
  StopTasks: { members: 3, kind: 'start', zones: ['a'] },
};

test('every statement has a name and is tried, or is one that AWS itself uses', () => {
  const sids = statements.map(({ Sid }) => Sid);
  expect(new Set(sids).size).toBe(sids.length);
  for (const sid of [...Object.keys(usedByAws), ...Object.keys(provoke), ...onlyInLog])
    expect(sids).toContain(sid);
  expect(sids.filter((sid) => sid === undefined)).toHaveLength(1);
  expect(named.length + Object.keys(usedByAws).length).toBe(sids.filter(Boolean).length);
  expect(named.length).toBeGreaterThanOrEqual(15);
});

describe.each(named.map((statement) => ({ sid: statement.Sid!, actions: [statement.Action].flat() })))(
  'without $sid',
  ({ sid, actions }) => {
    const tenantId = `no-${sid.toLowerCase()}`;

    test('the call is denied, and it is told what and on what', async () => {
      await cloud.restart({ edit: without(sid) });
      // Looks that failed come back in seconds instead of a minute, but not so fast that they end as dead letters.
      cloud.cloud.faults.messages = { ...cloud.cloud.faults.messages, retryAfterSeconds: 2 };
      failLaunches(sid);
      const { operation } = await cloud.api.call<{ operation: Operation }>({
        method: 'PUT',
        path: `/v1/tenants/${tenantId}`,
        body: { spec: { members: provoke[sid]?.members ?? 1 } },
      });
      const denied = await until(`the denial of ${actions.join(' or ')} to be told`, async () =>
        denialIn(onlyInLog.includes(sid) ? functionLog() : await storyOf(operation), actions),
      );
      // ListTasks knows no resource: its cluster is a condition.
      expect(denied.resource).toMatch(sid === 'ListTasks' ? /^\*$/ : /^arn:aws:[a-z0-9-]+:/);
      expect(usedByCreate(denied)).toBe(false);
      expect((await operationOf(operation)).state).not.toBe('succeeded');

      await cloud.restart();
      cloud.cloud.faults.messages = { ...cloud.cloud.faults.messages, retryAfterSeconds: 2 };
      // Members told to leave may be gone before anybody has to stop them.
      if (sid !== 'StopTasks') {
        // What a look of before the restart left behind may be all that the end takes: the need for the right is renewed.
        failLaunches(sid);
        await until(`${denied.action} to be used`, async () => usedByCreate(denied), { deadlineMs: 180_000 });
        healLaunches(sid);
      }
      await cloud.ended(operation, 180_000);
      // The restart of the cloud started the member's etcd again: it may be on its way back.
      await until('the tenant to be available with all members healthy', async () => {
        const { phase, members } = await cloud.tenant(tenantId);
        return phase === 'available' && members.every((member) => member.healthy);
      });
      await cloud.api.call({ method: 'DELETE', path: `/v1/tenants/${tenantId}` });
    });
  },
);

test('without the right to take messages from its queue the function is not even connected to it', async () => {
  // The one statement that CDK writes itself, without a Sid.
  const lacking = cloud.restart({ edit: without(undefined) });
  await expect(lacking).rejects.toThrow(/has no permission to call ReceiveMessage on arn:aws:sqs:/);
});

const operationOf = ({ tenantId, operationId }: Operation): Promise<Operation> =>
  cloud.api.call<Operation>({ method: 'GET', path: `/v1/tenants/${tenantId}/operations/${operationId}` });

/** What `nanny operations` and `nanny timeline` show; both must tell it. */
async function storyOf(operation: Operation): Promise<string> {
  const events = await cloud.api.all<TimelineEvent>(`/v1/tenants/${operation.tenantId}/timeline`);
  const { message, steps } = await operationOf(operation);
  const told = JSON.stringify({ message, steps });
  const timeline = JSON.stringify(events);
  return /not authorized/.test(told) && /not authorized/.test(timeline) ? told : '';
}

function functionLog(): string {
  const folder = join(cloud.stateDir, 'logs');
  const files = readdirSync(folder).filter((file) => /create/i.test(file));
  return files.map((file) => readFileSync(join(folder, file), 'utf8')).join('');
}

interface Denied {
  readonly action: string;
  readonly resource: string;
}

function denialIn(text: string, actions: readonly string[]): Denied | undefined {
  const found = [...text.matchAll(/not authorized to perform: (\S+) on resource: (\S+) because/g)].map(
    ([, action, resource]) => ({ action: action!, resource: resource! }),
  );
  return found.find(({ action }) => actions.includes(action));
}

const usedByCreate = ({ action, resource }: Denied): boolean =>
  cloud.cloud.iam
    .usage()
    .some((use) => /create/i.test(use.principal) && use.action === action && use.resource === resource);

/** Ends with this start of the cloud, or when healed. */
const failLaunches = (sid: string): void => setLaunches(sid, 'no room in this zone');
const healLaunches = (sid: string): void => setLaunches(sid, undefined);

function setLaunches(sid: string, reason: string | undefined): void {
  const { kind, zones } = provoke[sid] ?? { kind: 'start', zones: [] };
  for (const zone of zones)
    cloud.cloud.chaos.failLaunchesInZone(`${cloud.cloud.region}${zone}`, kind, reason);
}

/** The policy of the create function's role in these templates. */
// biome-ignore lint/suspicious/noExplicitAny: CloudFormation as it is
function policyOf(template: any): { Statement: Statement[] } | undefined {
  const resources: { Type: string; Properties: { Roles?: { Ref?: string }[]; PolicyDocument: never } }[] =
    Object.values(template.Resources ?? {});
  return resources.find(
    ({ Type, Properties }) =>
      Type === 'AWS::IAM::Policy' && /CreateRole/.test(Properties.Roles?.[0]?.Ref ?? ''),
  )?.Properties.PolicyDocument;
}

function statementsOf(folder: string): Statement[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.template.json'))
    .flatMap((file) => policyOf(JSON.parse(readFileSync(join(folder, file), 'utf8')))?.Statement ?? []);
}

/** The create function has one statement less. */
const without =
  (sid: string | undefined) =>
  ({ template }: StackTemplate): void => {
    const policy = policyOf(template);
    if (policy !== undefined) policy.Statement = policy.Statement.filter(({ Sid }) => Sid !== sid);
  };
