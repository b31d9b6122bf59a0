import * as z from 'zod';

/** Environment of the tenant-resource function. The CDK construct sets exactly these. */
export const envSchema = z.object({
  /** Base URL of the provisioning API. */
  API_URL: z.url(),
  /** Of the function's own role: tells what its stack has made from what others have. */
  ROLE_NAME: z.string().min(1),
});
