import type { HistoryEntry } from '../history.ts';
import type { Figures, Lap } from './figures.ts';
import type { ReadBack } from './read-back.ts';

export type ToWorker =
  | { readonly ask: 'use' | 'read-back'; readonly endpoints: readonly string[] }
  | { readonly ask: 'lap' | 'stop' | 'end' };

export type FromWorker =
  | ({
      readonly told: 'figures';
      readonly waiting: number;
      readonly oldest: number;
      readonly next: number;
      readonly silent: number;
    } & Figures)
  | ({ readonly told: 'lap' } & Lap)
  | ({
      readonly told: 'stopped';
      readonly failures: readonly string[];
      readonly stoodStillMs: number;
      readonly history: HistoryEntry[];
      readonly revisions: ReadonlyMap<number, number>;
      readonly answeredAt: ReadonlyMap<number, number>;
    } & Figures)
  | ({ readonly told: 'read-back' } & ReadBack)
  | { readonly told: 'broken'; readonly why: string };
