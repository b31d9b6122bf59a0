import * as z from 'zod';
import { isoTimeSchema } from './names.ts';

export const conditionTypes = [
  'Ready',
  'AllMembersHealthy',
  'SpreadOverZones',
  'UpToDate',
  'BackupFresh',
  'BackupProven',
  'SpaceAvailable',
  'QuorumSafe',
  'ClusterIdConsistent',
  'ClocksAgree',
  'AuthorityCurrent',
] as const;

export type ConditionType = (typeof conditionTypes)[number];

export const conditionSchema = z.strictObject({
  type: z.enum(conditionTypes),
  status: z.enum(['True', 'False', 'Unknown']),
  /** CamelCase word for machines, e.g. `MemberUnhealthy`. */
  reason: z.string(),
  /** Sentence for people. */
  message: z.string(),
  /** When `status` last changed. */
  since: isoTimeSchema,
});

export type Condition = z.infer<typeof conditionSchema>;
