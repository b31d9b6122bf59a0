import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareRights, mergeUsed, type UsedRights } from './rights/compare.ts';
import { rightsOf } from './rights/templates.ts';
import { unusedRights } from './rights/unused-rights.ts';
import { localContext, synthesize } from './synth.ts';

const used = JSON.parse(
  readFileSync(new URL('rights/used-rights.json', import.meta.url), 'utf8'),
) as UsedRights;

describe('rights of the templates, against those that end-to-end topics used (npm run iam:used)', () => {
  it('are enough, and each that was never used has its reason in unused-rights.ts', async () => {
    const given = rightsOf(await synthesize(localContext));
    expect(compareRights(given, used, unusedRights)).toEqual({ missing: [], unexplained: [], stale: [] });
    // Of every role but the two that only AWS takes on.
    const roles = new Set(given.map(({ role }) => role));
    const seen = new Set(Object.keys(used).map((name) => name.split(' ')[0]));
    expect([...roles].filter((role) => !seen.has(role))).toEqual(['FlowLogsRejectedIAMRole']);
  });
});

describe('the comparison', () => {
  const right = (sid: string, action = 'a:Do') => ({ role: 'R', sid, action, resource: '*' });
  const names = (...sids: string[]): UsedRights =>
    Object.fromEntries(sids.map((sid) => [`R ${sid} a:Do *`, ['create']]));

  it('finds what is missing, what nobody uses, and what is explained without need', () => {
    const given = [right('Used'), right('Unused'), right('Explained')];
    const explained = [
      { sid: 'Explained', reason: '' },
      { sid: 'Gone', reason: '' },
      { sid: 'Used', reason: '' },
    ];
    expect(compareRights(given, names('Used', 'Refused'), explained)).toEqual({
      missing: ['R Refused a:Do *'],
      unexplained: ['R Unused a:Do *'],
      stale: [
        'Gone of any role: the templates give no such right',
        'Used of any role: all of it is used, by create',
      ],
    });
  });

  it('tells rights of one statement apart by action and role', () => {
    const given = [right('S'), right('S', 'a:Undo')];
    expect(compareRights(given, names('S'), []).unexplained).toEqual(['R S a:Undo *']);
    expect(
      compareRights(given, names('S'), [{ sid: 'S', roles: ['Other'], reason: '' }]).unexplained,
    ).toEqual(['R S a:Undo *']);
  });

  it('takes a topic that was run again at its word, and keeps what others said', () => {
    const before = { 'R A a:Do *': ['create', 'kill'], 'R B a:Do *': ['create'] };
    expect(mergeUsed(before, new Map([['create', [right('C')]]]))).toEqual({
      'R A a:Do *': ['kill'],
      'R C a:Do *': ['create'],
    });
  });
});
