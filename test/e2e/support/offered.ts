import { compareVersions } from '../../../lambdas/core/version-order.ts';
import { minorOf } from '../../../node-image/binaries/versions.ts';
import type { TestCloud } from './cloud.ts';

/** Versions of a minor that a tenant may choose, newest first. */
export async function offered({ api }: TestCloud, minor: string): Promise<string[]> {
  const { offered } = await api.call<{ offered: { version: string }[] }>({
    method: 'GET',
    path: '/v1/versions',
  });
  const all = offered.map(({ version }) => version).filter((version) => minorOf(version) === minor);
  return all.sort((a, b) => compareVersions(b, a));
}
