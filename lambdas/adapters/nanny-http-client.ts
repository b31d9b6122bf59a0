import { Agent, request } from 'node:https';
import { checkServerIdentity } from 'node:tls';
import * as z from 'zod';
import { ControlPlaneError, LeaseLostError, TransientError } from '../core/errors.ts';
import { etcdIdSchema } from '../core/model/names.ts';
import type { KeyVault, NannyClient, NannyTarget } from '../core/ports.ts';
import {
  adminErrorSchema,
  type BackupOrder,
  emptySchema,
  type HashKvAnswer,
  hashKvAnswerSchema,
  type NannyStatus,
  nannyStatusSchema,
  type RenewOrder,
  type SnapshotProgress,
  type SnapshotRequest,
  type SwapRequest,
  snapshotProgressSchema,
} from '../core/wire/admin.ts';

const adminPort = 2378;
const answerLimit = 1024 * 1024;
const cachedKeys = 500;
/**
 * A look that stays awake asks the same nannies several times a second: a handshake each time was most of what a look
 * cost, on both sides. After a longer silence this process may have been frozen, and what it held open may be dead.
 */
const keptOpenMs = 2_000;

/**
 * The nanny's admin API over mTLS. Calls no AWS action itself; the key of the control plane's certificate is opened
 * through the KeyVault (kms:Decrypt, `purpose=control-plane`), once per tenant and process.
 */
export class NannyHttpClient implements NannyClient {
  readonly #keyVault: KeyVault;
  readonly #readTimeoutMs: number;
  readonly #changeTimeoutMs: number;
  readonly #port: number;
  readonly #keys = new Map<string, Promise<string>>();
  #open = newAgent(true);
  #lastReadAt = 0;

  /**
   * @param options.readTimeoutMs for a whole read, default 2,000
   * @param options.changeTimeoutMs for a whole change, default 10,000: etcd itself gives a membership change up to 7 s
   */
  constructor(options: {
    keyVault: KeyVault;
    readTimeoutMs?: number;
    changeTimeoutMs?: number;
    port?: number;
  }) {
    this.#keyVault = options.keyVault;
    this.#readTimeoutMs = options.readTimeoutMs ?? 2_000;
    this.#changeTimeoutMs = options.changeTimeoutMs ?? 10_000;
    this.#port = options.port ?? adminPort;
  }

  async status(target: NannyTarget): Promise<NannyStatus> {
    const status = await this.#call(target, nannyStatusSchema, { method: 'GET', path: '/v1/status' });
    if (status.tenantId !== target.tenant.tenantId) {
      throw new ControlPlaneError(
        'wrong-nanny',
        `The nanny at ${target.ip} speaks for tenant ${status.tenantId}, not ${target.tenant.tenantId}.`,
      );
    }
    return status;
  }

  async addLearner(target: NannyTarget, fence: number, peerUrl: string): Promise<{ etcdId: string }> {
    const answer = z.strictObject({ etcdId: etcdIdSchema });
    return await this.#call(target, answer, change('members/add-learner', fence, { peerUrl }));
  }

  async promote(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    await this.#call(target, emptySchema, change('members/promote', fence, { etcdId }));
  }

  async removeMember(target: NannyTarget, fence: number, etcdId: string): Promise<void> {
    await this.#call(target, emptySchema, change('members/remove', fence, { etcdId }));
  }

  async moveLeadership(target: NannyTarget, fence: number, toEtcdId: string): Promise<void> {
    await this.#call(target, emptySchema, change('leadership', fence, { toEtcdId }));
  }

  async compact(target: NannyTarget, fence: number, revision: number): Promise<void> {
    await this.#call(target, emptySchema, change('compact', fence, { revision }));
  }

  async defragment(target: NannyTarget, fence: number): Promise<void> {
    await this.#call(target, emptySchema, change('defragment', fence, {}));
  }

  async disarm(target: NannyTarget, fence: number): Promise<{ disarmed: number }> {
    const answer = z.strictObject({ disarmed: z.int() });
    return await this.#call(target, answer, change('alarms/disarm', fence, {}));
  }

  async hashKv(target: NannyTarget, revision: number): Promise<HashKvAnswer> {
    return await this.#call(target, hashKvAnswerSchema, change('hashkv', 0, { revision }));
  }

  async backup(target: NannyTarget, fence: number, order: BackupOrder): Promise<void> {
    await this.#call(target, emptySchema, change('backup', fence, { ...order }));
  }

  async snapshot(target: NannyTarget, fence: number, request: SnapshotRequest): Promise<SnapshotProgress> {
    return await this.#call(target, snapshotProgressSchema, change('snapshot', fence, { ...request }));
  }

  async downgrade(
    target: NannyTarget,
    fence: number,
    action: 'validate' | 'enable' | 'cancel',
    version: string,
  ): Promise<void> {
    await this.#call(target, emptySchema, change('downgrade', fence, { action, version }));
  }

  async swap(target: NannyTarget, fence: number, request: SwapRequest): Promise<void> {
    await this.#call(target, emptySchema, change('swap', fence, { ...request }));
  }

  async renew(target: NannyTarget, fence: number, order: RenewOrder): Promise<void> {
    const call = { ...change('renew', fence, { ...order }), timeoutMs: this.#changeTimeoutMs * 2 };
    await this.#call(target, emptySchema, call);
  }

  async #call<T>(target: NannyTarget, schema: z.ZodType<T>, call: Call): Promise<T> {
    const where = `nanny ${target.ip} of tenant ${target.tenant.tenantId}`;
    const { status, body } = await this.#send(target, call, where);
    const document = parseJson(body);
    if (status !== 200) throw refusal(where, call, status, document);
    const parsed = schema.safeParse(document);
    if (parsed.success) return parsed.data;
    throw new ControlPlaneError(
      'wrong-answer',
      `The ${where} answered ${call.path} in a form this version does not know. Bring both to the same version.`,
      { cause: parsed.error },
    );
  }

  async #send(target: NannyTarget, call: Call, where: string): Promise<{ status: number; body: string }> {
    const { pki, tenantId } = target.tenant;
    if (pki === undefined) {
      throw new ControlPlaneError('no-pki', `Tenant ${tenantId} has no certificates yet.`);
    }
    const key = await this.#key(tenantId, pki.controlPlaneKey);
    const reads = call.method === 'GET';
    const timeoutMs = call.timeoutMs ?? (reads ? this.#readTimeoutMs : this.#changeTimeoutMs);
    const send = (agent?: Agent): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        const unreachable = (error: Error): void => {
          // The other side has closed what was kept open, as it may at any time: that says nothing of the nanny.
          if (agent && sent.reusedSocket && error.name !== 'AbortError') resolve(send());
          else
            reject(new TransientError(`The ${where} cannot be reached: ${error.message}`, { cause: error }));
        };
        const sent = request({
          host: target.ip,
          port: this.#port,
          path: call.path,
          method: call.method,
          headers: {
            accept: 'application/json',
            ...(call.body === undefined
              ? {}
              : {
                  'content-type': 'application/json',
                  'content-length': Buffer.byteLength(call.body),
                  'x-fencing-token': String(call.fence),
                }),
          },
          agent: agent ?? newAgent(),
          ca: pki.caBundle,
          cert: pki.controlPlaneCertificate,
          key,
          minVersion: 'TLSv1.2',
          rejectUnauthorized: true,
          signal: AbortSignal.timeout(timeoutMs),
        });
        sent.on('error', (error) =>
          unreachable(
            error.name === 'AbortError'
              ? Object.assign(new Error(`no answer within ${timeoutMs} ms`), { name: error.name })
              : error,
          ),
        );
        sent.on('response', (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > answerLimit) response.destroy(new Error('the answer is longer than 1 MiB'));
            else chunks.push(chunk);
          });
          response.on('error', unreachable);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
          );
        });
        sent.end(call.body);
      });
    // A change has a connection of its own: whether one that broke was done is not to be guessed.
    return await send(reads ? this.#keptOpen() : undefined);
  }

  #keptOpen(): Agent {
    const now = Date.now();
    if (Math.abs(now - this.#lastReadAt) > Math.max(keptOpenMs, this.#readTimeoutMs)) {
      this.#open.destroy();
      this.#open = newAgent(true);
    }
    this.#lastReadAt = now;
    return this.#open;
  }

  #key(tenantId: string, ciphertext: string): Promise<string> {
    const id = `${tenantId} ${ciphertext}`;
    const known = this.#keys.get(id);
    if (known !== undefined) return known;
    if (this.#keys.size >= cachedKeys) this.#keys.clear();
    const opened = this.#keyVault.decrypt(tenantId, 'control-plane', ciphertext);
    this.#keys.set(id, opened);
    opened.catch(() => this.#keys.delete(id));
    return opened;
  }
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly fence?: number;
  readonly body?: string;
  /** Where the usual one is too short: certificates come from join first, then etcd is stopped and started. */
  readonly timeoutMs?: number;
}

/**
 * Never a resumed TLS session: it would skip the check of the server's identity. Given with each request instead, the
 * check would keep Node from using a connection again.
 */
const newAgent = (keepAlive = false): Agent =>
  new Agent({
    keepAlive,
    timeout: keptOpenMs,
    maxCachedSessions: 0,
    checkServerIdentity: (host, certificate) =>
      checkServerIdentity(host, certificate) ?? checkUnit(certificate.subject.OU),
  });

function change(what: string, fence: number, body: Record<string, unknown>): Call {
  return { method: 'POST', path: `/v1/${what}`, fence, body: JSON.stringify(body) };
}

/** Any leaf of the tenant's CA has a valid chain; only the admin leaf may answer here. */
function checkUnit(unit: string | string[] | undefined): Error | undefined {
  return [unit].flat().includes('nanny-admin')
    ? undefined
    : new Error(`its certificate has OU ${unit ?? 'none'}, not nanny-admin`);
}

function refusal(where: string, call: Call, status: number, document: unknown): ControlPlaneError {
  const parsed = adminErrorSchema.safeParse(document);
  if (!parsed.success) {
    const message = `The ${where} answered ${call.path} with status ${status} and no reason.`;
    return status >= 500 ? new TransientError(message) : new ControlPlaneError('nanny-refused', message);
  }
  const { code, message, retryable } = parsed.data.error;
  const text = `The ${where} refused ${call.path}: ${message} (${code})`;
  if (code === 'fenced') return new LeaseLostError(text);
  return retryable ? new TransientError(text) : new ControlPlaneError(code, text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
