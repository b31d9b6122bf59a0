import { expect, test } from 'vitest';
import { emfMetrics } from '../../lambdas/adapters/emf-metrics.ts';
import { samplesIn } from '../../local/services/cloudwatch/emf.ts';

const now = new Date('2026-01-01T00:00:00Z');
function written(put: (sink: ReturnType<typeof emfMetrics>) => void): string[] {
  const lines: string[] = [];
  put(emfMetrics({ namespace: 'EtcdNanny/x', clock: { now: () => now }, write: (line) => lines.push(line) }));
  return lines;
}

test('one look is one line, with the tenant as its only dimension and units that CloudWatch knows', () => {
  const [line, ...more] = written((sink) => sink.tenant('acme', { WriteMargin: 1, DbSizeBytes: 2048 }));
  expect(more).toEqual([]);
  expect(line!.endsWith('\n')).toBe(true);
  const document = JSON.parse(line!);
  expect(document).toMatchObject({ TenantId: 'acme', WriteMargin: 1, DbSizeBytes: 2048 });
  expect(document._aws).toEqual({
    Timestamp: now.getTime(),
    CloudWatchMetrics: [
      {
        Namespace: 'EtcdNanny/x',
        Dimensions: [['TenantId']],
        Metrics: [
          { Name: 'WriteMargin', Unit: 'Count' },
          { Name: 'DbSizeBytes', Unit: 'Bytes' },
        ],
      },
    ],
  });
});

test('figures of the fleet have no dimension, and no figure makes no line', () => {
  const [line] = written((sink) => sink.fleet({ SweepRounds: 1 }));
  expect(samplesIn(line!)).toEqual([
    { namespace: 'EtcdNanny/x', name: 'SweepRounds', dimensions: {}, value: 1, at: now.getTime() },
  ]);
  expect(written((sink) => sink.tenant('acme', {}))).toEqual([]);
});
