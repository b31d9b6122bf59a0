import type { Connection, CredentialFiles } from '../../lambdas/core/connection/connection.ts';
import type { World } from './world.ts';

/** The flag of etcdctl that each variable stands for. */
const variables = (connection: Connection, files: CredentialFiles) =>
  [
    ['ETCDCTL_ENDPOINTS', '--endpoints', connection.endpoints.join(',')],
    ['ETCDCTL_CACERT', '--cacert', files.ca],
    ['ETCDCTL_CERT', '--cert', files.certificate],
    ['ETCDCTL_KEY', '--key', files.key],
  ] as const;

/**
 * The environment in which etcdctl reaches the cluster. etcdctl refuses to run when a flag and its variable are both
 * given, so a flag among `args` takes the place of our variable; variables of the caller's own shell are left out.
 */
export function etcdctlEnvironment(
  env: World['env'],
  connection: Connection,
  files: CredentialFiles,
  args: readonly string[],
): Record<string, string | undefined> {
  const inherited = Object.entries(env).filter(([name]) => !name.startsWith('ETCDCTL_'));
  const ours = variables(connection, files)
    .filter(([, flag]) => !args.some((arg) => arg === flag || arg.startsWith(`${flag}=`)))
    .map(([name, , value]) => [name, value] as const);
  return { ...Object.fromEntries(inherited), ...Object.fromEntries(ours) };
}
