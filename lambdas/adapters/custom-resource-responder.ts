import { TransientError } from '../core/errors.ts';
import {
  type CustomResourceAnswer,
  type CustomResourceEvent,
  customResourceResponse,
} from '../core/wire/custom-resource.ts';

const timeoutMs = 10_000;
const waitsMs = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * Puts the answer to the presigned URL of CloudFormation. Without it a stack hangs until its time-out, so this tries
 * harder than other calls do.
 * @throws TransientError when it could not be delivered
 */
export async function respond(
  event: CustomResourceEvent,
  answer: CustomResourceAnswer,
  deps: { readonly fetch?: typeof fetch; readonly sleep: (ms: number) => Promise<void> },
): Promise<void> {
  const send = deps.fetch ?? fetch;
  // The URL is signed for an empty content type.
  const request = {
    method: 'PUT',
    headers: { 'content-type': '' },
    body: JSON.stringify(customResourceResponse(event, answer)),
  };
  for (const waitMs of [...waitsMs, undefined]) {
    let said: string;
    try {
      const response = await send(event.ResponseURL, { ...request, signal: AbortSignal.timeout(timeoutMs) });
      if (response.ok) return;
      said = `HTTP ${response.status}`;
    } catch (error) {
      said = error instanceof Error ? error.message : String(error);
    }
    if (waitMs === undefined) throw new TransientError(`CloudFormation did not take the answer: ${said}`);
    await deps.sleep(waitMs);
  }
}
