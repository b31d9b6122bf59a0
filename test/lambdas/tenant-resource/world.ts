import { ApiRefusal, type TenantApiClient } from '../../../lambdas/adapters/tenant-api-client.ts';
import type { CustomResourceEvent } from '../../../lambdas/core/wire/custom-resource.ts';
import { createPki } from '../../../lambdas/pki/x509-pki.ts';
import { handle } from '../../../lambdas/tenant-resource/handle.ts';
import { createWorld, signed } from '../api/world.ts';

export const roleName = 'app-acme-role';
const roleArn = `arn:aws:sts::111122223333:assumed-role/${roleName}/app-function`;
export const secretArn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:credentials-AbCdEf';

export interface CfnAnswer {
  readonly Status: 'SUCCESS' | 'FAILED';
  readonly Reason: string;
  readonly PhysicalResourceId: string;
  readonly Data?: Record<string, string>;
}

/** The function over the real API on fakes. `meanwhile` is what the control plane does while it waits. */
export function createResourceWorld(options: { remainingMs?: () => number } = {}) {
  const world = createWorld({
    versions: { default: '3.6.16', offered: ['3.5.35', '3.6.14', '3.6.16', '3.7.3'] },
  });
  const secrets = new Map<string, string>();
  const lines: string[] = [];
  const continued: unknown[] = [];
  const calls: string[] = [];
  let meanwhile: () => Promise<void> = async () => {};
  let answer: CfnAnswer | undefined;
  const clock = {
    now: () => world.deps.clock.now(),
    async sleep(ms: number) {
      world.advance(ms);
      await meanwhile();
    },
  };
  const api: TenantApiClient = {
    async call({ method, path, body }) {
      calls.push(`${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`}`);
      const response = await world.send(method, path, body, { env: signed(roleArn) });
      if (response.status >= 400) throw new ApiRefusal(response.body.code, response.body.detail);
      return { status: response.status, body: response.body };
    },
  };
  const log = (message: string, fields?: object) => void lines.push(JSON.stringify({ message, ...fields }));
  const pki = createPki({ clock });
  const deps = {
    api,
    vault: {
      read: async (arn: string) => secrets.get(arn),
      write: async (arn: string, value: string) => void secrets.set(arn, value),
    },
    clock,
    log: { info: log, warn: log, error: log },
    createKey: (user: string) => pki.createClientKey(user),
    roleName,
    respond: async (
      event: CustomResourceEvent,
      given: { physicalId: string; status: 'SUCCESS' | 'FAILED' },
    ) => {
      const {
        status,
        physicalId,
        reason = '',
        data,
      } = given as typeof given & { reason?: string; data?: CfnAnswer['Data'] };
      answer = {
        Status: status,
        PhysicalResourceId: physicalId,
        Reason: reason,
        ...(data ? { Data: data } : {}),
      };
      lines.push(JSON.stringify(answer));
      void event;
    },
    continueIn: async (_arn: string, event: unknown) => void continued.push(event),
  };
  const invocation = {
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:111122223333:function:app-function',
    getRemainingTimeInMillis: options.remainingMs ?? (() => 900_000),
  };

  async function send(event: unknown): Promise<CfnAnswer | undefined> {
    answer = undefined;
    await handle(event, invocation, deps);
    return answer;
  }

  /** The operation under way ends well, and the cluster is what the spec says. */
  async function settle(tenantId: string): Promise<void> {
    const tenant = await world.store.get(tenantId);
    if (!tenant?.operation) return;
    if (tenant.operation.kind === 'create') return void (await world.finishCreation(tenantId));
    const { operation, ...rest } = tenant;
    if (operation.kind === 'delete') return world.store.remove(tenantId, tenant.recordVersion);
    await end(tenantId, operation.operationId, 'succeeded', 'done');
    const { recordVersion } = tenant;
    await world.store.save(
      { ...rest, observedGeneration: tenant.generation, recordVersion: recordVersion + 1 },
      recordVersion,
    );
  }

  async function end(tenantId: string, operationId: string, state: 'succeeded' | 'failed', message: string) {
    const operation = (await world.store.getOperation(tenantId, operationId))!;
    const at = clock.now().toISOString();
    await world.store.putOperation({ ...operation, state, message, updatedAt: at, endedAt: at });
  }

  return {
    ...world,
    secrets,
    lines,
    calls,
    continued,
    settle,
    end,
    whileWaiting: (act: () => Promise<void>) => {
      meanwhile = act;
    },
    invoke: send,
    create: (properties: object = {}) => send(event('Create', properties)),
    update: (properties: object, old: object = {}, physicalId = 'acme') =>
      send({
        ...event('Update', properties),
        PhysicalResourceId: physicalId,
        OldResourceProperties: props(old),
      }),
    remove: (properties: object = {}, physicalId = 'acme') =>
      send({ ...event('Delete', properties), PhysicalResourceId: physicalId }),
  };
}

/** As CloudFormation sends them: every scalar is text. */
const props = (given: object) => ({
  ServiceToken: 'arn:aws:lambda:us-east-1:111122223333:function:app-function',
  TenantId: 'acme',
  SecretArn: secretArn,
  User: 'root',
  CredentialsDays: '90',
  ...given,
});

export const event = (RequestType: string, properties: object) => ({
  RequestType,
  ResponseURL: 'https://cloudformation.example/answer',
  StackId: 'arn:aws:cloudformation:us-east-1:111122223333:stack/app/1',
  RequestId: '2f6e0a52-0000-4000-8000-000000000000',
  LogicalResourceId: 'Acme',
  ResourceType: 'Custom::EtcdTenant',
  ResourceProperties: props(properties),
});

export type ResourceWorld = ReturnType<typeof createResourceWorld>;
