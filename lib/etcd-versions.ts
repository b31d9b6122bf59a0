import { ConfigError } from './config.ts';

/** Environment ETCD_VERSIONS. */
export interface EtcdVersions {
  readonly default: string;
  readonly offered: readonly string[];
}

const offeredByImage = { default: '3.6.16', offered: ['3.5.35', '3.6.16'] };

/** @throws ConfigError when the wanted default is not offered */
export function resolveEtcdVersions(config: {
  etcdVersions?: string[];
  defaultEtcdVersion?: string;
}): EtcdVersions {
  const offered = config.etcdVersions ?? offeredByImage.offered;
  const chosen =
    config.defaultEtcdVersion ??
    (offered.includes(offeredByImage.default) ? offeredByImage.default : offered.at(-1));
  if (chosen === undefined || !offered.includes(chosen))
    throw new ConfigError([
      `defaultEtcdVersion: ${chosen} is not among the offered versions ${offered.join(', ')}`,
    ]);
  return { default: chosen, offered };
}
