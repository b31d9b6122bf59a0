import {
  type EtcdVersions,
  etcdVersions,
  knownVersion,
  minorOf,
  newestOfMinor,
  versionsInState,
} from '../../node-image/binaries/versions.ts';
import { compareVersions } from '../core/version-order.ts';
import type { VersionGate } from '../core/version-rules.ts';

/** What this deployment offers: the binaries that its image carries. */
export interface VersionCatalog {
  readonly default: string;
  readonly offered: readonly string[];
}

/** The rules of `etcd-versions.json`, as plans know them. */
export const versionGateOf = (known: EtcdVersions = etcdVersions): VersionGate => ({
  upgrades: known.upgrades,
  refusal(version) {
    const entry = knownVersion(version, known);
    if (entry === undefined) return 'it is not a version this project knows';
    return entry.state === 'refused' ? entry.reason : undefined;
  },
});

export type VersionChoice =
  | { readonly ok: true; readonly version: string }
  | { readonly ok: false; readonly message: string };

const offeredText = (catalog: VersionCatalog): string =>
  [...catalog.offered]
    .sort((a, b) => compareVersions(b, a))
    .map((version) => (version === catalog.default ? `${version} (default)` : version))
    .join(', ');

/** Exact version, or a minor (`3.6`), whose newest offered patch is taken. */
export function chooseVersion(
  catalog: VersionCatalog,
  wanted: string | undefined,
  known: EtcdVersions = etcdVersions,
): VersionChoice {
  if (wanted === undefined) return { ok: true, version: catalog.default };
  const offered = `offered: ${offeredText(catalog)}`;
  if (/^\d+\.\d+$/.test(wanted)) {
    const version = newestOfMinor(wanted, catalog.offered);
    return version === undefined
      ? { ok: false, message: `no version of etcd ${wanted} is offered here; ${offered}` }
      : { ok: true, version };
  }
  if (!/^\d+\.\d+\.\d+$/.test(wanted)) {
    return { ok: false, message: `must be a version such as 3.6.16 or a minor such as 3.6; ${offered}` };
  }
  if (catalog.offered.includes(wanted)) return { ok: true, version: wanted };
  const entry = knownVersion(wanted, known);
  const why =
    entry?.state === 'refused'
      ? `etcd ${wanted} is refused: ${entry.reason}`
      : entry === undefined
        ? `etcd ${wanted} is not a version this project knows`
        : `etcd ${wanted} is not among the binaries of this deployment`;
  return { ok: false, message: `${why}; ${offered}` };
}

export interface VersionsDocument {
  default: string;
  offered: { version: string; minor: string; state: string; reason: string | null }[];
  refused: { version: string; reason: string }[];
}

export function versionsDocument(
  catalog: VersionCatalog,
  known: EtcdVersions = etcdVersions,
): VersionsDocument {
  return {
    default: catalog.default,
    offered: [...catalog.offered]
      .sort((a, b) => compareVersions(b, a))
      .map((version) => {
        const entry = knownVersion(version, known);
        return {
          version,
          minor: minorOf(version),
          state: entry?.state ?? 'unknown',
          reason: entry?.reason ?? null,
        };
      }),
    refused: versionsInState('refused', known).map((version) => ({
      version,
      reason: knownVersion(version, known)?.reason ?? '',
    })),
  };
}
