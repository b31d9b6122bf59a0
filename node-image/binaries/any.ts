import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import { EtcdUnavailableError } from './failure.ts';
import { type ResolvedEtcd, type ResolveOptions, resolveEtcd } from './resolve.ts';
import { createOnce } from './source.ts';
import { defaultVersion, etcdVersions, minorOf, versionsInState } from './versions.ts';

/**
 * Versions a tenant may run on, best first: the default, the other patches of its minor, the other minors (older
 * before newer), all newest first; deprecated ones last, refused ones never.
 * `minors` restricts them and gives the order of minors.
 */
export function preferredVersions(minors?: readonly string[]): string[] {
  const order = minors ?? minorOrder();
  const inOrder = (versions: readonly string[]) =>
    order.flatMap((minor) => versions.filter((version) => minorOf(version) === minor));
  const all = [...inOrder(versionsInState('supported')), ...inOrder(versionsInState('deprecated'))];
  return all.sort((a, b) => Number(b === defaultVersion) - Number(a === defaultVersion));
}

function minorOrder(): string[] {
  const own = minorOf(defaultVersion);
  const others = [...new Set(Object.keys(etcdVersions.versions).map(minorOf))].filter(
    (minor) => minor !== own,
  );
  const rank = (minor: string) => Number(minor.split('.')[1]);
  const older = others.filter((minor) => rank(minor) < rank(own)).sort((a, b) => rank(b) - rank(a));
  const newer = others.filter((minor) => rank(minor) > rank(own)).sort((a, b) => rank(a) - rank(b));
  return [own, ...older, ...newer];
}

/**
 * The best version that can be had here; what is tried and why it fails is told by `onProgress`.
 * @throws EtcdUnavailableError when none can be had
 */
export async function resolveAny(
  options: ResolveOptions & { readonly minors?: readonly string[] },
): Promise<ResolvedEtcd> {
  const once = options.once ?? createOnce();
  const failures: EtcdUnavailableError[] = [];
  const wanted = preferredVersions(options.minors);
  for (const version of wanted) {
    try {
      const found = await resolveEtcd(version, { ...options, once });
      if (failures.length > 0) {
        options.onProgress?.(
          `using etcd ${version}: ${failures.flatMap((failure) => failure.versions).join(', ')} cannot be had here`,
        );
      }
      return found;
    } catch (error) {
      if (!(error instanceof EtcdUnavailableError)) throw error;
      failures.push(error);
    }
  }
  if (failures.length === 0) {
    throw new ControlPlaneError(
      'invalid-request',
      `no etcd version is known for ${options.minors?.join(', ')}`,
    );
  }
  throw new EtcdUnavailableError(failures.flatMap((failure) => failure.attempts));
}

/** The default version or, where it cannot be had, the best that can. */
export function resolveDefault(options: ResolveOptions): Promise<ResolvedEtcd> {
  return resolveAny(options);
}
