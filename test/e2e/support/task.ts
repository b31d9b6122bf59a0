import { request } from 'node:https';
import { callApi, type Signer } from '../../local/support/signed.ts';
import type { TestCloud } from './cloud.ts';
import { processesOf } from './processes.ts';

/** The task of a member, as an attacker inside of it would see it. */
export interface TaskSeen {
  readonly memberName: string;
  readonly ip: string;
  readonly taskId: string;
  readonly joinUrl: string;
  /** Of the task role; the session is the task's id. */
  readonly credentials: Signer;
}

/** What the container of a member finds in its environment, its real credentials included. */
export async function taskOf(cloud: TestCloud, tenantId: string, memberName?: string): Promise<TaskSeen> {
  const { members } = await cloud.tenant(tenantId);
  const member = members.find(({ name }) => memberName === undefined || name === memberName)!;
  const { environment } = processesOf(cloud.stateDir, member.name).nanny;
  const answer = await fetch(environment.AWS_CONTAINER_CREDENTIALS_FULL_URI!, {
    headers: { authorization: environment.AWS_CONTAINER_AUTHORIZATION_TOKEN! },
  });
  const { AccessKeyId, SecretAccessKey, Token } = (await answer.json()) as Record<string, string>;
  return {
    memberName: member.name,
    ip: member.ip!,
    taskId: member.taskArn!.split('/').at(-1)!,
    joinUrl: environment.NANNY_JOIN_URL!,
    credentials: { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: Token! },
  };
}

export interface TlsIdentity {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** One HTTPS call; what TLS or the connection refused comes as status 0 with its reason. */
export function callTls(
  url: string,
  tls: TlsIdentity,
  options: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const refused = (error: Error) => resolve({ status: 0, text: error.message });
    const call = request(
      url,
      { ...tls, method: options.method ?? 'GET', headers: options.headers, agent: false, timeout: 5_000 },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', refused);
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', refused);
    call.end(options.body);
  });
}

/** A call of the join API; `from` is the address that it comes from. */
export const callJoin = (
  task: TaskSeen,
  route: string,
  body: unknown,
  how: {
    from?: string;
    /** `null`: not signed. */
    credentials?: Signer | null;
    method?: string;
    signedAt?: Date;
    sentBody?: string;
  } = {},
) =>
  callApi(`${task.joinUrl.replace(/\/$/, '')}/${route}`, {
    method: how.method ?? 'POST',
    ...(how.method === 'GET' ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: { 'content-type': 'application/json' },
    localAddress: how.from ?? task.ip,
    ...(how.signedAt ? { signingDate: how.signedAt } : {}),
    ...(how.sentBody === undefined ? {} : { sentBody: how.sentBody }),
    ...(how.credentials === null ? {} : { credentials: how.credentials ?? task.credentials }),
  });
