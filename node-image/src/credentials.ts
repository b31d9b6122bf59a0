import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { TransientError } from '../../lambdas/core/errors.ts';
import type { StorageAnswer } from '../../lambdas/core/wire/work.ts';
import type { NannyEnv } from './env.ts';
import { httpCall } from './http.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const answerSchema = z.object({
  AccessKeyId: z.string(),
  SecretAccessKey: z.string(),
  Token: z.string(),
  Expiration: z.string(),
});

/** Who asks while a call is under way shares its answer. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined;
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

/** Part of their life after which credentials of the store are asked for anew. */
const renewedAfter = 3 / 4;

/**
 * Credentials for the tenant's own prefix of the bucket, from the control plane (`POST storage`); the task role itself
 * may only call the control plane. Kept for three quarters of their life, and to their end while no others can be had.
 */
export function storageCredentials(
  ask: () => Promise<StorageAnswer>,
  now: () => Date,
): () => Promise<Credentials> {
  let kept: { answer: StorageAnswer; renewAtMs: number; endsAtMs: number } | undefined;
  const fetch = shared(async () => {
    const askedAtMs = now().getTime();
    const answer = await ask();
    const endsAtMs = Date.parse(answer.expiration);
    kept = { answer, endsAtMs, renewAtMs: askedAtMs + (endsAtMs - askedAtMs) * renewedAfter };
  });
  return async () => {
    if (kept === undefined || kept.renewAtMs <= now().getTime()) {
      try {
        await fetch();
      } catch (error) {
        if (kept === undefined || kept.endsAtMs <= now().getTime()) throw error;
      }
    }
    const { accessKeyId, secretAccessKey, sessionToken } = kept!.answer;
    return { accessKeyId, secretAccessKey, sessionToken };
  };
}

/** Fetched anew this long before they end, as the AWS SDKs do. */
const freshForMs = 5 * 60_000;

/** The task role's credentials from the container credentials endpoint, kept until shortly before they end. */
export function containerCredentials(
  source: NannyEnv['credentials'],
  now: () => Date,
): () => Promise<Credentials> {
  let kept: { credentials: Credentials; endsAt: number } | undefined;
  const fetch = shared(async (): Promise<Credentials> => {
    const token = source.tokenFile ? (await readFile(source.tokenFile, 'utf8')).trim() : source.token;
    const answer = await httpCall(new URL(source.uri), {
      method: 'GET',
      headers: token ? { authorization: token } : {},
      timeoutMs: 2_000,
    });
    if (answer.status !== 200) {
      throw new TransientError(
        `The container credentials endpoint answered ${answer.status}: does the task have a task role?`,
      );
    }
    const parsed = answerSchema.safeParse(JSON.parse(answer.body));
    if (!parsed.success) {
      throw new TransientError('The container credentials endpoint sent no credentials; trying again');
    }
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken } = parsed.data;
    const credentials = { accessKeyId, secretAccessKey, sessionToken };
    kept = { credentials, endsAt: Date.parse(parsed.data.Expiration) };
    return credentials;
  });
  return async () => (kept && kept.endsAt - freshForMs > now().getTime() ? kept.credentials : await fetch());
}
