import * as z from 'zod';
import { TransientError } from '../../lambdas/core/errors.ts';
import { httpCall } from './http.ts';

export interface TaskIdentity {
  readonly taskArn: string;
  /** The address ECS gave this task; etcd and the admin API listen there and nowhere else. */
  readonly ip: string;
}

const taskSchema = z.object({
  TaskARN: z.string().min(1),
  Containers: z.array(
    z.object({ Networks: z.array(z.object({ IPv4Addresses: z.array(z.ipv4()).optional() })).optional() }),
  ),
});

/**
 * Asks the task metadata endpoint (version 4, `/task`).
 * @throws TransientError when it does not answer, or does not know the address yet (right after the start)
 */
export async function readTaskIdentity(metadataUri: string): Promise<TaskIdentity> {
  const answer = await httpCall(new URL(`${metadataUri}/task`), { method: 'GET', timeoutMs: 2_000 });
  if (answer.status !== 200) {
    throw new TransientError(`The task metadata endpoint answered ${answer.status}; trying again`);
  }
  const task = taskSchema.safeParse(JSON.parse(answer.body));
  if (!task.success) {
    throw new TransientError(
      `The task metadata is not what version 4 promises: ${z.prettifyError(task.error)}`,
    );
  }
  const ip = task.data.Containers.flatMap((container) => container.Networks ?? []).flatMap(
    (network) => network.IPv4Addresses ?? [],
  )[0];
  if (ip === undefined) throw new TransientError('The task metadata shows no IPv4 address yet; trying again');
  return { taskArn: task.data.TaskARN, ip };
}
