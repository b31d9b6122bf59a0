import type { Operation, OperationStep } from '../../lambdas/core/model/operation.ts';
import type { Api } from './api.ts';
import { CliError } from './errors.ts';
import { shortTime } from './format.ts';
import type { World } from './world.ts';

const pollMs = 250;
export const defaultWaitSeconds = 900;

const marks: Readonly<Record<OperationStep['outcome'], string>> = {
  running: '…',
  done: '✓',
  failed: '✗',
  refused: '✗',
};

/**
 * Follows an operation to its end and shows its steps as they happen.
 * @throws CliError with the reason when it fails or takes longer than `timeoutSeconds`
 */
export async function waitFor(
  world: World,
  api: Api,
  started: Pick<Operation, 'tenantId' | 'operationId' | 'kind'>,
  options: { timeoutSeconds?: number; onLine?: (line: string) => void } = {},
): Promise<Operation> {
  const timeoutSeconds = options.timeoutSeconds ?? defaultWaitSeconds;
  const onLine = options.onLine ?? ((line: string) => world.output.err(line));
  const begin = world.now().getTime();
  const shown = new Map<number, string>();
  const path = `/v1/tenants/${started.tenantId}/operations/${started.operationId}`;
  for (;;) {
    const operation = await api.call<Operation>({ method: 'GET', path });
    showSteps(operation, shown, onLine, begin);
    if (operation.state === 'succeeded') return operation;
    if (operation.state === 'failed') {
      throw new CliError(`The ${operation.kind} of "${operation.tenantId}" failed: ${operation.message}`, {
        code: 'operation-failed',
      });
    }
    const elapsed = world.now().getTime() - begin;
    if (elapsed > timeoutSeconds * 1000) {
      throw new CliError(
        `The ${operation.kind} of "${operation.tenantId}" is not done after ${shortTime(elapsed)}: ${operation.message}. ` +
          `It goes on by itself; look at it with: nanny operations ${operation.tenantId}`,
        { code: 'timeout' },
      );
    }
    await world.sleep(pollMs);
  }
}

/** What a wait last waited for is of no interest once it is over. */
export function stepDetail(step: OperationStep): string {
  const over = step.outcome === 'done' && step.name.startsWith('wait-');
  return over || step.detail === '' ? '' : `: ${step.detail.replace(/\.$/, '')}`;
}

function showSteps(
  operation: Operation,
  shown: Map<number, string>,
  onLine: (line: string) => void,
  begin: number,
): void {
  for (const [index, step] of operation.steps.entries()) {
    const key = `${step.outcome} ${step.detail}`;
    if (shown.get(index) === key) continue;
    shown.set(index, key);
    const at = Date.parse(step.endedAt ?? step.startedAt) - Math.min(begin, Date.parse(operation.createdAt));
    const took = step.endedAt ? ` (${shortTime(Date.parse(step.endedAt) - Date.parse(step.startedAt))})` : '';
    const detail = stepDetail(step);
    onLine(`  ${shortTime(at).padStart(8)}  ${marks[step.outcome]} ${step.name}${detail}${took}`);
  }
}
