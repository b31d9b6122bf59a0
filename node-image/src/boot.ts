import type { JoinAnswer } from '../../lambdas/core/wire/join.ts';
import type { SavedState } from './member-disk.ts';

type Boot = Extract<JoinAnswer, { answer: 'boot' }>;

export type BootDecision =
  | { readonly start: SavedState['mode'] }
  /** This disk must not be started: reported as `data-lost`. */
  | { readonly refuse: string };

/**
 * Whether this disk may be started as the control plane says (S3: a member that has been started once is never started
 * with an empty disk again; a disk with data is never used for another incarnation).
 */
export function decideBoot(
  answer: Pick<Boot, 'mode' | 'incarnation' | 'restore'>,
  disk: { readonly hasData: boolean; readonly saved: SavedState | undefined },
): BootDecision {
  const { hasData, saved } = disk;
  if (saved?.ended) return { refuse: saved.ended.reason };
  if (hasData) {
    if (saved === undefined && answer.mode !== 'resume') {
      return {
        refuse: `the disk holds etcd data but no nanny.json, and the control plane says "${answer.mode}": nobody knows whose data it is`,
      };
    }
    if (saved !== undefined && saved.incarnation !== answer.incarnation) {
      return {
        refuse: `the disk holds data of incarnation ${saved.incarnation}, but the cluster is at incarnation ${answer.incarnation}`,
      };
    }
    return { start: 'resume' };
  }
  if (answer.mode === 'resume') {
    return {
      refuse: 'the control plane expects this member to have data, but its disk is empty',
    };
  }
  if (saved?.mode === 'resume') {
    return {
      refuse:
        'this member has been started before and its data is gone: started empty, it could vote twice in the same term',
    };
  }
  if (answer.mode === 'restore' && answer.restore === undefined) {
    return { refuse: 'the control plane says "restore" but not from what' };
  }
  return { start: answer.mode };
}
