/**
 * What has to be in docs/recovery-times.md, by topic of `npm run e2e`. A test can measure nothing else, and the page is
 * not written before each of these was measured.
 */
export const scenarios = {
  remediate: [
    'etcd killed: restart in place',
    'WAL corrupt: data lost, member replaced',
    'data of one member lost: member replaced',
    'task stopped: member replaced',
    'member cut off (two sources): member replaced',
    'etcd of one member paused: member replaced',
  ],
  'remediate-zones': [
    'zone back after an outage: spread restored',
    'five members, a zone of two back: nobody replaced',
    'five members, ten faults, each while the one before is being healed',
    'five members, a zone of one back after a loss elsewhere',
  ],
  'remediate-space': [
    'NOSPACE under a client that keeps writing: writable again',
    'fragmentation in the maintenance window: defragmented one by one',
  ],
  'remediate-fleet': [
    'a task that no member owns: stopped',
    'AWS retires the task of the leader: replaced by surge',
    'a member lost, and its newcomer lost while it is launched',
    'a member lost, and its newcomer lost as a learner',
    'a learner that never gets in sync: retired, another one votes',
    'slow disk under the leader: leadership away, replaced by surge',
    'a member lost in a storm: replaced when the storm is over',
  ],
  'remediate-quorum': ['two of three lost with their disks: new incarnation from the survivor'],
  'backup-disks': [
    'all three members lost, their disks kept: new incarnation from the furthest disk',
    'the only member lost, its disk kept: new incarnation from it',
  ],
  'backup-lost': [
    'all three members lost with their disks: new incarnation from backup and change stream',
    'the only member lost with its disk: new incarnation from backup and change stream',
  ],
  scale: [
    'members 1 → 3',
    'members 3 → 5',
    'members 5 → 3',
    'members 3 → 1',
    'members 1 → 5',
    'members 5 → 1',
    'a follower replaced by request',
    'the leader replaced by request',
    'size, storage and quota of 3 members, one lost with its disk meanwhile',
  ],
  patch: [
    'image',
    '3.5 → 3.6',
    'within 3.6',
    '3.6 → 3.7, a member lost with its disk meanwhile',
    '3.7 → 3.6, a member lost with its disk meanwhile',
    '3.6 → 3.5',
  ],
} as const;

export type Topic = keyof typeof scenarios;
export type Scenario<T extends Topic> = (typeof scenarios)[T][number];
