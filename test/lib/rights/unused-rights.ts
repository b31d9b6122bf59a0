import type { UnusedRights } from './compare.ts';

export const unusedRights: readonly UnusedRights[] = [];
