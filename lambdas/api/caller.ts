import * as z from 'zod';
import { ApiError } from './problem.ts';

/** What the HTTP API (payload version 2) says of a request that its IAM authoriser has let through. */
const gatewaySchema = z.object({
  event: z.object({
    requestContext: z.object({
      requestId: z.string().min(1),
      authorizer: z.object({ iam: z.object({ userArn: z.string().min(1) }) }),
    }),
  }),
});

export interface Caller {
  /** ARN of the principal that signed the request. */
  readonly arn: string;
  readonly requestId: string;
}

/**
 * @param environment hono's environment: the Lambda event
 * @throws ApiError `unauthenticated` when no authoriser has spoken: the API never works for an unknown caller
 */
export function callerOf(environment: unknown): Caller {
  const parsed = gatewaySchema.safeParse(environment);
  if (!parsed.success) {
    throw new ApiError(
      'unauthenticated',
      'The request is not signed. Sign it with SigV4 (service execute-api).',
    );
  }
  const { requestId, authorizer } = parsed.data.event.requestContext;
  return { arn: authorizer.iam.userArn, requestId };
}

/** For answers to requests whose caller is unknown. */
export function requestIdOf(environment: unknown): string {
  const parsed = z
    .object({ event: z.object({ requestContext: z.object({ requestId: z.string() }) }) })
    .safeParse(environment);
  return parsed.success ? parsed.data.event.requestContext.requestId : 'unknown';
}
