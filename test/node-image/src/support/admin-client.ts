import * as https from 'node:https';
import { nannyStatusSchema } from '../../../../lambdas/core/wire/admin.ts';
import type { ClientTls } from '../../../../node-image/src/etcd/grpc.ts';
import { httpCall } from '../../../../node-image/src/http.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: Record<string, never> & { error?: { code: string; message: string; retryable: boolean } };
}

/** Calls a nanny's admin API with a given certificate; a new connection for each call. */
export async function admin(
  tls: ClientTls,
  ip: string,
  path: string,
  change?: { fence?: number | string; body: unknown },
  port = 2378,
): Promise<AdminAnswer> {
  const agent = new https.Agent({ ...tls, keepAlive: false });
  const answer = await httpCall(new URL(`https://${ip}:${port}${path}`), {
    method: change ? 'POST' : 'GET',
    headers: change?.fence === undefined ? {} : { 'x-fencing-token': String(change.fence) },
    body: change && (typeof change.body === 'string' ? change.body : JSON.stringify(change.body)),
    timeoutMs: 15_000,
    agent,
  });
  return { status: answer.status, body: JSON.parse(answer.body) };
}

export async function statusOf(tls: ClientTls, ip: string) {
  const { status, body } = await admin(tls, ip, '/v1/status');
  if (status !== 200) throw new Error(`status of ${ip}: ${status} ${JSON.stringify(body)}`);
  return nannyStatusSchema.parse(body);
}
