import { withLeftDisks } from './left-disks.ts';
import { taskIdOf } from './members.ts';
import type { Performers } from './perform.ts';
import type { Cell, NameRegistry, TaskRuntime } from './ports.ts';

export interface EndDeps {
  readonly cell: Cell;
  readonly runtime: TaskRuntime;
  readonly names: NameRegistry;
}

/** The steps that take things down again; create uses the first two when it gives an incarnation up. */
export function endPerformers(deps: EndDeps): Performers {
  return {
    async 'stop-tasks'(step) {
      await Promise.all(
        step.taskArns.map((taskArn) => deps.runtime.stop(deps.cell, taskArn, step.reason.slice(0, 200))),
      );
      // By the ends of their ids: what is asked for again, because ECS tells of it late, is the same line.
      const tasks = step.taskArns.map((taskArn) => `…${taskIdOf(taskArn).slice(-6)}`).sort();
      const what = `${tasks.length === 1 ? 'task' : 'tasks'} ${tasks.join(', ')}`;
      return { message: `Stopping ${what}: ${step.reason}.` };
    },

    async 'forget-members'(step, { now }) {
      return {
        message: `Gone: ${step.members.join(', ')}.`,
        mutate: (tenant) => {
          const members = Object.fromEntries(
            Object.entries(tenant.members).filter(
              ([name, member]) => !(step.members.includes(name) && member.state === 'leaving'),
            ),
          );
          return Object.keys(members).length === Object.keys(tenant.members).length
            ? undefined
            : { ...withLeftDisks(tenant, now, step.members), members };
        },
      };
    },

    async 'deregister-names'(step, { tenant }) {
      const serviceId = tenant.nameServiceId;
      if (serviceId !== undefined) {
        await Promise.all(step.members.map((name) => deps.names.deregister(serviceId, name)));
      }
      return { message: `Taken out of the name service: ${step.members.join(', ')}.` };
    },

    async 'delete-name'(_step, { tenant }) {
      if (tenant.nameServiceId !== undefined) await deps.names.deleteService(tenant.nameServiceId);
      return {
        message: 'Name removed.',
        mutate: ({ nameServiceId, ...rest }) => (nameServiceId === undefined ? undefined : rest),
      };
    },
  };
}
