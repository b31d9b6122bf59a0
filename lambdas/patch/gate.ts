import { etcdVersions, knownVersion } from '../../node-image/binaries/versions.ts';
import type { VersionGate } from '../core/version-rules.ts';

/** What this project knows of etcd's versions, as core's rules ask for it. */
export const versionGate: VersionGate = {
  upgrades: etcdVersions.upgrades,
  refusal: (version) => {
    const entry = knownVersion(version);
    return entry?.state === 'refused' ? entry.reason : undefined;
  },
};
