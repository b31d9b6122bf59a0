import {
  type FleetFigures,
  fleetMetrics,
  type MetricInfo,
  type TenantFigures,
  tenantDimension,
  tenantMetrics,
} from '../core/metrics.ts';
import type { Clock, MetricSink } from '../core/ports.ts';

export interface EmfOptions {
  readonly namespace: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly write?: (line: string) => void;
}

/**
 * Metrics as lines of the function's own log (CloudWatch's embedded metric format): no call, no permission, no endpoint in the VPC,
 * and the line itself can be searched for. One line a look (decisions/0101).
 */
export function emfMetrics({ namespace, clock, write = toStdout }: EmfOptions): MetricSink {
  const put = (
    figures: Readonly<Record<string, number | undefined>>,
    infos: Readonly<Record<string, MetricInfo>>,
    dimensions: Readonly<Record<string, string>>,
  ): void => {
    const known = Object.entries(figures).filter(([, value]) => value !== undefined);
    if (known.length === 0) return;
    const now = clock.now();
    const document = {
      timestamp: now.toISOString(),
      level: 'INFO',
      message: 'metrics',
      _aws: {
        Timestamp: now.getTime(),
        CloudWatchMetrics: [
          {
            Namespace: namespace,
            Dimensions: [Object.keys(dimensions)],
            Metrics: known.map(([Name]) => ({ Name, Unit: infos[Name]?.unit ?? 'None' })),
          },
        ],
      },
      ...dimensions,
      ...Object.fromEntries(known),
    };
    write(`${JSON.stringify(document)}\n`);
  };
  return {
    tenant: (tenantId: string, figures: TenantFigures) =>
      put(figures, tenantMetrics, { [tenantDimension]: tenantId }),
    fleet: (figures: FleetFigures) => put(figures, fleetMetrics, {}),
  };
}

const toStdout = (line: string): void => void process.stdout.write(line);
