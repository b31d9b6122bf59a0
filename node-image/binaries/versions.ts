import * as z from 'zod';
import { etcdVersionSchema } from '../../lambdas/core/model/names.ts';
import { compareVersions } from '../../lambdas/core/version-order.ts';
import document from '../etcd-versions.json' with { type: 'json' };

/**
 * The etcd versions this project knows. Pure data and pure functions: Lambda functions may import this file.
 *
 * `supported`: offered for new tenants. `deprecated`: existing tenants run on it and should be patched; for new ones
 * only where nothing better can be had. `refused`: no tenant runs on it; `reason` says why.
 */
export const versionStates = ['supported', 'deprecated', 'refused'] as const;
export type VersionState = (typeof versionStates)[number];

export const platforms = ['linux-amd64', 'linux-arm64', 'darwin-amd64', 'darwin-arm64'] as const;
export type Platform = (typeof platforms)[number];

const minorSchema = z.string().regex(/^\d+\.\d+$/);
const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
/** As in go.sum: base64 of the SHA-256 of the module's tree. */
const goSumSchema = z.string().regex(/^h1:[A-Za-z0-9+/]{43}=$/);

const versionSchema = z
  .strictObject({
    minor: minorSchema,
    state: z.enum(versionStates),
    /** Why it is not `supported`. */
    reason: z.string().min(1).optional(),
    /** SHA-256 of the official release archive, per platform; absent where it is not known for certain. */
    archives: z.partialRecord(z.enum(platforms), sha256Schema),
    /** go.sum hashes of the modules that `etcd-build/<version>` pins; absent when it cannot be built from modules. */
    goModules: z.strictObject({ server: goSumSchema, etcdctl: goSumSchema, etcdutl: goSumSchema }).optional(),
    /** Debian suites that carried it when this was written: a hint, the mirror's own index decides. */
    debianSuites: z.array(z.string()),
  })
  .refine((entry) => entry.state === 'supported' || entry.reason !== undefined, {
    message: 'a version that is not supported needs a reason',
  });

const upgradeSchema = z.strictObject({
  from: minorSchema,
  to: minorSchema,
  /** Patch the members to at least this version first. */
  floor: etcdVersionSchema,
  reason: z.string().min(1),
});

export const versionsSchema = z
  .strictObject({
    default: etcdVersionSchema,
    versions: z.record(etcdVersionSchema, versionSchema),
    upgrades: z.array(upgradeSchema),
  })
  .refine((all) => all.versions[all.default]?.state === 'supported', {
    message: 'the default must be a supported version',
  })
  .refine((all) => Object.entries(all.versions).every(([v, entry]) => minorOf(v) === entry.minor), {
    message: 'minor must be the first two numbers of the version',
  });

export type EtcdVersions = z.infer<typeof versionsSchema>;
export type EtcdVersionEntry = z.infer<typeof versionSchema>;

export const etcdVersions: EtcdVersions = versionsSchema.parse(document);
export const defaultVersion = etcdVersions.default;

export { compareVersions };

export function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

/** What is known about the version; undefined for one that is not in the list. */
export function knownVersion(
  version: string,
  all: EtcdVersions = etcdVersions,
): EtcdVersionEntry | undefined {
  return Object.hasOwn(all.versions, version) ? all.versions[version] : undefined;
}

/** Newest first. */
export function versionsInState(state: VersionState, all: EtcdVersions = etcdVersions): string[] {
  return Object.keys(all.versions)
    .filter((version) => all.versions[version]!.state === state)
    .sort((a, b) => compareVersions(b, a));
}

/** May a new tenant ask for it? */
export function isOffered(version: string, all: EtcdVersions = etcdVersions): boolean {
  return knownVersion(version, all)?.state === 'supported';
}

/** Newest of a minor (`3.6`) among `candidates`, which are all supported versions unless given. */
export function newestOfMinor(
  minor: string,
  candidates: readonly string[] = versionsInState('supported'),
): string | undefined {
  return candidates.filter((version) => minorOf(version) === minor).sort((a, b) => compareVersions(b, a))[0];
}

export type UpgradeGate =
  | { readonly allowed: true }
  /** `first`: the version to go to before, when there is one. */
  | { readonly allowed: false; readonly reason: string; readonly first?: string };

/** May a healthy cluster go from one version to another by replacing its members? */
export function gateFor(from: string, to: string, all: EtcdVersions = etcdVersions): UpgradeGate {
  const target = knownVersion(to, all);
  if (target === undefined) return { allowed: false, reason: `etcd ${to} is not a version we know` };
  if (target.state === 'refused')
    return { allowed: false, reason: `etcd ${to} is refused: ${target.reason}` };
  if (minorOf(from) === minorOf(to)) {
    if (target.state === 'supported' || compareVersions(to, from) >= 0) return { allowed: true };
    return { allowed: false, reason: `etcd ${to} is older and deprecated: ${target.reason}` };
  }
  if (compareVersions(to, from) < 0) {
    return {
      allowed: false,
      reason: `${from} to ${to} is a downgrade: members cannot be replaced by an older minor`,
    };
  }
  const step = all.upgrades.find((upgrade) => upgrade.from === minorOf(from));
  if (step === undefined) return { allowed: false, reason: `no upgrade from etcd ${minorOf(from)} is known` };
  if (step.to !== minorOf(to)) {
    const first = newestOfMinor(step.to, versionsInState('supported', all));
    return {
      allowed: false,
      reason: `etcd goes up one minor at a time: ${minorOf(from)} to ${step.to} first`,
      ...(first === undefined ? {} : { first }),
    };
  }
  if (compareVersions(from, step.floor) < 0) {
    const first = newestOfMinor(step.from, versionsInState('supported', all));
    return {
      allowed: false,
      reason: `patch to ${step.floor} or later first: ${step.reason}`,
      ...(first === undefined ? {} : { first }),
    };
  }
  return { allowed: true };
}
