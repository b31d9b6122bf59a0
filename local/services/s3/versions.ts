import { randomUUID } from 'node:crypto';
import type { StoredObject } from './bucket.ts';

/** What a bucket with versions keeps of a key besides its newest object. */
export type FormerVersion =
  | (StoredObject & { readonly versionId: string; readonly formerSince: string })
  /** Says that there is nothing under the key, since then. */
  | { readonly marker: true; readonly key: string; readonly versionId: string; readonly modifiedAt: string };

export const newVersionId = (): string => randomUUID().replaceAll('-', '');

export const isMarker = (version: FormerVersion): version is Extract<FormerVersion, { marker: true }> =>
  'marker' in version;

const dayMs = 86_400_000;

/** Object Lock: nothing takes this version away before then, but who may bypass it. */
export const isLocked = (version: FormerVersion | StoredObject, now: number): boolean =>
  'retainUntil' in version && version.retainUntil !== undefined && Date.parse(version.retainUntil) > now;

/** Those that the lifecycle rules of the bucket take away now. */
export function expired(
  former: ReadonlyMap<string, FormerVersion>,
  live: { has(key: string): boolean },
  days: number,
  now: number,
): FormerVersion[] {
  const all = [...former.values()];
  const old = all.filter(
    (version) =>
      !isMarker(version) && Date.parse(version.formerSince) + days * dayMs <= now && !isLocked(version, now),
  );
  const left = new Set(all.filter((one) => !isMarker(one) && !old.includes(one)).map(({ key }) => key));
  // A marker says nothing once there is no version left that it hides.
  const idle = all.filter((one) => isMarker(one) && !left.has(one.key) && !live.has(one.key));
  return [...old, ...idle];
}
