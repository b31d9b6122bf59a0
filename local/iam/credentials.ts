import { randomBytes } from 'node:crypto';
import type { Caller, TemporaryCredentials } from '../aws/service.ts';
import type { Statement } from './document.ts';

/** The Lambda worker that holds a key, so that faults can name its function and end it. */
export interface WorkerHandle {
  readonly functionName: string;
  /** Request id of the invocation that runs now. */
  readonly invocation: () => string | undefined;
  /** What that invocation was given, as JSON. */
  readonly event: () => string | undefined;
  readonly crash: () => void;
}

export interface Credential {
  readonly caller: Caller;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
  readonly worker?: WorkerHandle;
}

/** Every access key that this cloud has given out. */
export class CredentialStore {
  readonly #keys = new Map<string, Credential>();
  readonly #accountId: string;
  readonly #now: () => number;

  constructor(options: { accountId: string; now?: () => number }) {
    this.#accountId = options.accountId;
    this.#now = options.now ?? Date.now;
  }

  find(accessKeyId: string): Credential | undefined {
    return this.#keys.get(accessKeyId);
  }

  addUser(name: string, accessKeyId: string, secretAccessKey: string): void {
    const principalArn = `arn:aws:iam::${this.#accountId}:user/${name}`;
    this.#keys.set(accessKeyId, {
      caller: { accessKeyId, accountId: this.#accountId, principalArn },
      secretAccessKey,
    });
  }

  /** As STS AssumeRole; valid for `ttlSeconds`. */
  issue(
    roleArn: string,
    sessionName: string,
    ttlSeconds: number,
    options: { readonly worker?: WorkerHandle; readonly sessionPolicy?: readonly Statement[] } = {},
  ): TemporaryCredentials {
    this.#forgetExpired();
    const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1);
    const accessKeyId = newAccessKeyId('ASIA');
    const secretAccessKey = randomBytes(30).toString('base64');
    const sessionToken = randomBytes(96).toString('base64');
    const expiration = new Date(this.#now() + ttlSeconds * 1000);
    const principalArn = `arn:aws:sts::${this.#accountId}:assumed-role/${roleName}/${sessionName}`;
    const { worker, sessionPolicy } = options;
    const caller: Caller = {
      accessKeyId,
      accountId: this.#accountId,
      principalArn,
      roleArn,
      sessionName,
      ...(sessionPolicy && { sessionPolicy }),
    };
    this.#keys.set(accessKeyId, { caller, secretAccessKey, sessionToken, expiration, worker });
    return { accessKeyId, secretAccessKey, sessionToken, expiration };
  }

  revoke(accessKeyId: string): void {
    this.#keys.delete(accessKeyId);
  }

  /** Kept for an hour after their end, so that their holder hears "expired" and not "unknown". */
  #forgetExpired(): void {
    const limit = this.#now() - 3_600_000;
    for (const [id, credential] of this.#keys) {
      if (credential.expiration && credential.expiration.getTime() < limit) this.#keys.delete(id);
    }
  }
}

export function newAccessKeyId(prefix: 'AKIA' | 'ASIA'): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return prefix + [...randomBytes(16)].map((byte) => alphabet[byte % 32]).join('');
}
