import { runInput, startHarness, until } from './harness.ts';

/** A cloud of its own process, for tests that kill it. Prints the ARN of the one task it runs. */
const harness = await startHarness({ stateDir: process.argv[2]! });
const { tasks } = await harness.call('RunTask', runInput('family'));
await until(
  () => harness.task(tasks[0].taskArn),
  (task) => task.lastStatus === 'RUNNING',
);
process.stdout.write(`${tasks[0].taskArn}\n`);
