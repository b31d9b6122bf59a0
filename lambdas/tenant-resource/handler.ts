import * as z from 'zod';
import { respond } from '../adapters/custom-resource-responder.ts';
import { jsonLog } from '../adapters/json-log.ts';
import { continueIn } from '../adapters/lambda-continuation.ts';
import { SecretsManagerVault } from '../adapters/secrets-manager-vault.ts';
import { systemClock } from '../adapters/system-clock.ts';
import { SignedTenantApiClient } from '../adapters/tenant-api-client.ts';
import { createPki } from '../pki/x509-pki.ts';
import { envSchema } from './env.ts';
import { handle, type Invocation } from './handle.ts';

const env = envSchema.extend({ AWS_REGION: z.string() }).parse(process.env);
const clock = systemClock;
const pki = createPki({ clock });

/** Signed for where the API is. */
const regionOf = (url: string): string | undefined => /\.execute-api\.([a-z0-9-]+)\./.exec(url)?.[1];

const deps = {
  api: new SignedTenantApiClient({ baseUrl: env.API_URL, region: regionOf(env.API_URL) ?? env.AWS_REGION }),
  vault: new SecretsManagerVault(),
  clock,
  log: jsonLog({ clock, fields: { function: 'tenant-resource' } }),
  createKey: (user: string) => pki.createClientKey(user),
  roleName: env.ROLE_NAME,
  respond,
  continueIn,
};

export const handler = (event: unknown, context: Invocation): Promise<void> => handle(event, context, deps);
