import {
  compareVersions,
  etcdVersions,
  knownVersion,
  versionsInState,
} from '../node-image/binaries/versions.ts';
import { ConfigError } from './config.ts';

/** Environment ETCD_VERSIONS. */
export interface OfferedVersions {
  readonly default: string;
  readonly offered: readonly string[];
}

/**
 * What tenants may ask for. The versions have to be in the image that runs: the local cloud names those that it found
 * binaries for.
 * @throws ConfigError for unknown and refused versions, and for a default that is not offered
 */
export function resolveEtcdVersions(config: {
  readonly etcdVersions?: readonly string[];
  readonly defaultEtcdVersion?: string;
}): OfferedVersions {
  const offered = [...(config.etcdVersions ?? versionsInState('supported'))].sort(compareVersions);
  const newest = offered.at(-1);
  if (newest === undefined) throw new ConfigError(['etcdVersions: name at least one version']);
  const problems = offered.flatMap((version) => problemOf(version));
  const wanted = config.defaultEtcdVersion ?? etcdVersions.default;
  const chosen = offered.includes(wanted) ? wanted : newest;
  if (config.defaultEtcdVersion !== undefined && chosen !== config.defaultEtcdVersion)
    problems.push(`defaultEtcdVersion: ${wanted} is not among the offered versions ${offered.join(', ')}`);
  if (problems.length > 0) throw new ConfigError(problems);
  return { default: chosen, offered };
}

function problemOf(version: string): string[] {
  const known = knownVersion(version);
  if (known === undefined) return [`etcdVersions: ${version} is not in node-image/etcd-versions.json`];
  return known.state === 'refused' ? [`etcdVersions: ${version} is refused: ${known.reason}`] : [];
}
