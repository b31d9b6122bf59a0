import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { TransientError } from '../../lambdas/core/errors.ts';
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

/** Fetched anew this long before they end, as the AWS SDKs do. */
const freshForMs = 5 * 60_000;

/** The task role's credentials from the container credentials endpoint, kept until shortly before they end. */
export function containerCredentials(
  source: NannyEnv['credentials'],
  now: () => Date,
): () => Promise<Credentials> {
  let kept: { credentials: Credentials; endsAt: number } | undefined;
  return async () => {
    if (kept && kept.endsAt - freshForMs > now().getTime()) return kept.credentials;
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
  };
}
