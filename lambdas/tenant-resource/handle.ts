import type { respond } from '../adapters/custom-resource-responder.ts';
import { customResourceEventSchema } from '../core/wire/custom-resource.ts';
import { renewalSchema, tenantEventSchema } from './request.ts';
import { type RunDeps, renew, run } from './run.ts';

/** What Lambda says of an invocation. */
export interface Invocation {
  readonly invokedFunctionArn: string;
  getRemainingTimeInMillis(): number;
}

export interface HandleDeps extends Omit<RunDeps, 'remainingMs'> {
  readonly respond: typeof respond;
  readonly continueIn: (functionArn: string, event: unknown) => Promise<void>;
}

/** An event of CloudFormation, the rest of one, or the schedule's daily look at credentials. */
export async function handle(raw: unknown, invocation: Invocation, deps: HandleDeps): Promise<void> {
  const renewal = renewalSchema.safeParse(raw);
  if (renewal.success) return renew(renewal.data.Renew, deps);
  const begun = tenantEventSchema.safeParse(raw);
  const event = begun.success ? begun.data.event : customResourceEventSchema.parse(raw);
  const outcome = await run(event, begun.data?.progress, {
    ...deps,
    remainingMs: () => invocation.getRemainingTimeInMillis(),
  });
  if (outcome.kind === 'continue')
    return deps.continueIn(invocation.invokedFunctionArn, { event, progress: outcome.progress });
  const { status, physicalId, reason } = outcome.answer;
  deps.log.info('answered', { request: event.RequestType, status, physicalId, reason });
  await deps.respond(event, outcome.answer, { sleep: (ms) => deps.clock.sleep(ms) });
}
