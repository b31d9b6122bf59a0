import type { JoinDeps } from './deps.ts';

/** What was seen of a member, for people. The record has it already: a line that cannot be written is no failure. */
export async function tell(
  deps: JoinDeps,
  who: { readonly tenantId: string; readonly memberName: string },
  message: string,
): Promise<void> {
  const { tenantId, memberName: member } = who;
  const [eventId, at] = [deps.ids.ulid(), deps.clock.now().toISOString()];
  try {
    await deps.store.appendEvent({ eventId, tenantId, at, kind: 'seen', message, member });
  } catch (error) {
    deps.log.warn(`The timeline of ${tenantId} could not be written.`, { message, error: String(error) });
  }
}
