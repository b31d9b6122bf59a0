export interface Sample {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

interface Directive {
  readonly Namespace: string;
  readonly Dimensions: readonly (readonly string[])[];
  readonly Metrics: readonly { readonly Name: string }[];
}

/**
 * The metrics in a line of a function's log, as CloudWatch Logs takes them out: a JSON document with `_aws`. Whatever does not keep
 * to the format gives none, silently, as on AWS.
 */
export function samplesIn(line: string): Sample[] {
  if (!line.includes('"_aws"')) return [];
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(line);
  } catch {
    return [];
  }
  const meta = document._aws as { Timestamp?: unknown; CloudWatchMetrics?: unknown } | undefined;
  if (typeof meta?.Timestamp !== 'number' || !Array.isArray(meta.CloudWatchMetrics)) return [];
  const at = meta.Timestamp;
  return (meta.CloudWatchMetrics as Directive[]).flatMap(({ Namespace, Dimensions, Metrics }) =>
    Dimensions.flatMap((names) => {
      const dimensions = Object.fromEntries(names.map((name) => [name, String(document[name])]));
      if (names.some((name) => document[name] === undefined)) return [];
      return Metrics.flatMap(({ Name }) =>
        [document[Name]]
          .flat()
          .filter((value) => typeof value === 'number')
          .map((value) => ({ namespace: Namespace, name: Name, dimensions, value, at })),
      );
    }),
  );
}
