/**
 * `AWS_ENDPOINT_URL=http://127.0.0.1:4566 npm run emulator`: bootstraps and deploys the templates with the real CDK CLI to a
 * third-party emulator of AWS, and takes them down again. Opt-in: no emulator comes with this project, and none is fetched. It
 * shows that CloudFormation, as the emulator knows it, takes the templates; whether they work is what `npm run e2e` shows.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { emulatorOf } from './endpoint.ts';

const target = emulatorOf(process.env);
if ('problem' in target) {
  console.error(target.problem);
  process.exit(2);
}
const answer = await fetch(target.endpoint).catch((error: Error) => error);
if (answer instanceof Error) {
  console.error(`Nothing answers at ${target.endpoint} (AWS_ENDPOINT_URL): start the emulator first.`);
  process.exit(1);
}
const repo = join(import.meta.dirname, '../..');
const context = ['-c', 'ephemeral=true', '-c', 'nodeImageUri=public.ecr.aws/docker/library/busybox:stable'];
const cdk = (...args: string[]): void => {
  console.log(`cdk ${args.join(' ')}`);
  const { status } = spawnSync(join(repo, 'node_modules/.bin/cdk'), [...args, ...context], {
    cwd: repo,
    env: { ...process.env, ...target.environment },
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error(
      `cdk ${args[0]} has failed against the emulator at ${target.endpoint}; its own words are above.`,
    );
    process.exit(1);
  }
};
cdk('bootstrap', `aws://${target.account}/${target.environment.AWS_REGION}`);
cdk('deploy', '--all', '--require-approval', 'never');
cdk('destroy', '--all', '--force');
console.log(`Deployed to and taken down from the emulator at ${target.endpoint}.`);
