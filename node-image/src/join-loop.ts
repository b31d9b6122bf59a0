import type { Log } from '../../lambdas/core/ports.ts';
import type { JoinAnswer } from '../../lambdas/core/wire/join.ts';
import type { LeafKeys } from './csr.ts';
import type { JoinClient } from './join-client.ts';
import { sentence } from './log.ts';
import { backOffMs, type Timing } from './timing.ts';

export type FinalAnswer = Exclude<JoinAnswer, { answer: 'wait' }>;

export interface JoinLoopOptions {
  readonly who: { readonly tenantId: string; readonly memberName: string };
  readonly client: JoinClient;
  readonly leafKeys: LeafKeys;
  readonly hasData: boolean;
  readonly log: Log;
  readonly timing: Timing;
  /** Each time that the question is on its way: there is time until the answer. */
  readonly onAsked?: () => void;
}

const backOff = { firstMs: 500, maxMs: 10_000 };
/** All members of a tenant wait for each other: up to a fifth more keeps them from asking at the same instant. */
const waitJitter = 0.2;

/** Asks until the answer is `boot` or `leave`; undefined when aborted. Never gives up: the control plane decides. */
export async function joinUntilAnswered(
  options: JoinLoopOptions,
  signal: AbortSignal,
): Promise<FinalAnswer | undefined> {
  const { who, client, leafKeys, hasData, log, timing, onAsked } = options;
  let failures = 0;
  let said = '';
  const say = (text: string, level: 'info' | 'warn') => {
    if (text !== said) log[level](text);
    said = text;
  };
  while (!signal.aborted) {
    try {
      const answer = await client.join({ ...who, csrs: leafKeys.csrs, hasData }, onAsked);
      failures = 0;
      if (answer.answer !== 'wait') return answer;
      say(`The control plane says wait: ${answer.reason}`, 'info');
      const delayMs = Math.max(50, answer.retryAfterMs);
      await timing.sleep(delayMs * (1 + waitJitter * timing.random()), signal);
    } catch (error) {
      say(sentence(error), 'warn');
      await timing.sleep(backOffMs(failures, timing, backOff), signal);
      failures += 1;
    }
  }
  return undefined;
}
