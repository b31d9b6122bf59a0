import { cellsOf, type RecoveryRow, rowHeadings } from './recovery-row.ts';
import { scenarios } from './scenarios.ts';

interface Missing {
  readonly topic: string;
  readonly scenario: string;
}

/** @returns either the page, or what is missing for it */
export function renderRecoveryTimes(rowOf: (topic: string, scenario: string) => RecoveryRow | undefined): {
  readonly page?: string;
  readonly missing: readonly Missing[];
} {
  const wanted = Object.entries(scenarios).flatMap(([topic, list]) =>
    list.map((scenario) => ({ topic, scenario, row: rowOf(topic, scenario) })),
  );
  const missing = wanted.filter(({ row }) => row === undefined);
  if (missing.length > 0) return { missing };
  const rows = wanted.flatMap(({ row }) => row ?? []);
  const days = [...new Set(rows.map(({ at }) => at.slice(0, 10)))].sort();
  const machines = [...new Set(rows.map(({ machine }) => machine))];
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const sections = Object.keys(scenarios).map((topic) =>
    [
      `## ${topic}`,
      '',
      line(rowHeadings),
      line(rowHeadings.map((_, index) => (index === 0 ? '---' : '---:'))),
      ...rows.filter((row) => row.topic === topic).map((row) => line(cellsOf(row))),
    ].join('\n'),
  );
  const page = [
    '# Recovery times',
    '',
    'Written by `npm run recovery-times` from what `npm run e2e` measured; do not edit it by hand.',
    '',
    `Measured ${days.join(', ')} on ${machines.join('; ')}: real etcd on the local cloud, members, control plane and client on`,
    'the same cores. Throughout, a client with all endpoints writes 200 new keys a second, whatever becomes of those before',
    '(where a row does not say otherwise), tries a failed write once more, and at the end reads everything back through',
    'each endpoint. Its puts, gets and compare-and-swaps on a few hot keys are checked for linearizability in the tests.',
    '',
    '- detection: from the fault to the first word of it on the tenant’s timeline;',
    '- repair: from there until etcd itself lists as many voters as wanted and each serves a linearizable read;',
    '- of operations (scale): from the request to its first step; from there to its end, as many voters as wanted serving;',
    '- of an operation that was asked for (scale, patch): until its first step, and from there to its end;',
    '- longest write gap: without an acknowledged write of any key, from the fault to the end of the repair;',
    '- failed: writes that failed twice; lost: acknowledged writes that one endpoint at least did not have at the end.',
    '',
    sections.join('\n\n'),
    '',
  ].join('\n');
  return { page, missing: [] };
}
