import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestCloud, testCloud } from './support/cloud.ts';
import { printTimelines } from './support/timeline.ts';
import { backedUp, totalLoss } from './support/total-loss.ts';

/** What a lost cluster may lose of what it had acknowledged when it is made again of its backups (design §9: RPO). */
const promisedMs = 10_000;

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await testCloud();
});
afterAll(async () => {
  if (cloud) await printTimelines(cloud, ['three', 'one']);
  await cloud?.dispose();
});

describe.each([
  {
    tenantId: 'three',
    members: 3,
    scenario: 'all three members lost with their disks: new incarnation from backup and change stream',
  },
  {
    tenantId: 'one',
    members: 1,
    scenario: 'the only member lost with its disk: new incarnation from backup and change stream',
  },
] as const)('$scenario', ({ tenantId, members, scenario }) => {
  const seen = totalLoss(() => cloud, {
    topic: 'backup-lost',
    tenantId,
    members,
    scenario,
    volume: 'ephemeral',
    ready: () => backedUp(cloud, tenantId),
    strike: ({ members: all }) =>
      Promise.all(all.map(({ name }) => cloud.cloud.hurt.act({ do: 'stop-task', member: name, hard: true }))),
  });

  test('what may be lost, and of what it is made, was said before anything was done', () => {
    const { lines } = seen();
    const said = lines.findIndex((line) => /Quorum is lost/.test(line) && /backup/.test(line));
    const done = lines.findIndex((line) => /Incarnation 2 begins from revision \d+/.test(line));
    expect(said).toBeGreaterThan(-1);
    expect(done).toBeGreaterThan(said);
  });

  test('every write of more than the promised time before is there; nothing is there that nobody wrote', () => {
    const { agesOfLost, report } = seen();
    expect(agesOfLost.filter((age) => age > promisedMs)).toEqual([]);
    // Of what the new cluster has acknowledged nothing.
    expect(agesOfLost.filter((age) => age < -promisedMs)).toEqual([]);
    expect(report.invented).toEqual([]);
  });
});
