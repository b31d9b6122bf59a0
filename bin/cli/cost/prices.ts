/**
 * What AWS takes for what this product uses: us-east-1, on demand, USD, without any free tier. A month is 730 hours. Collected
 * on the date below; `checked` says how: `docs` on AWS's pages, `data` from published price lists, by two or one secondary
 * source, `memory` known and not looked up again. Look at the last ones before you sign anything.
 */
export const pricesAsOf = '2026-11-22';
export const pricesRegion = 'us-east-1';
export const hoursPerMonth = 730;

export interface Price {
  readonly usd: number;
  readonly per: string;
  readonly checked: 'docs' | 'data' | 'memory';
}

const price = (usd: number, per: string, checked: Price['checked']): Price => ({ usd, per, checked });

export const prices = {
  fargateVcpu: price(0.03238, 'vCPU-hour, ARM', 'data'),
  fargateMemory: price(0.00356, 'GB-hour, ARM', 'data'),
  fargateStorage: price(0.000111, 'GB-hour above 20 GB', 'data'),
  gp3: price(0.08, 'GB-month', 'docs'),
  interfaceEndpoint: price(0.01, 'hour and zone', 'memory'),
  natGateway: price(0.045, 'hour', 'data'),
  natTraffic: price(0.045, 'GB', 'data'),
  crossZone: price(0.01, 'GB in each direction', 'data'),
  kmsKey: price(1, 'key and month', 'data'),
  kmsCall: price(0.03 / 10_000, 'call', 'memory'),
  lambdaTime: price(0.0000133334, 'GB-second, ARM', 'memory'),
  lambdaCall: price(0.2 / 1e6, 'call', 'memory'),
  sqsCall: price(0.4 / 1e6, 'call', 'memory'),
  dynamoWrite: price(0.625 / 1e6, 'write unit', 'data'),
  dynamoRead: price(0.125 / 1e6, 'read unit', 'data'),
  dynamoStorage: price(0.25, 'GB-month', 'memory'),
  restApiCall: price(3.5 / 1e6, 'call', 'memory'),
  httpApiCall: price(1 / 1e6, 'call', 'memory'),
  s3Storage: price(0.023, 'GB-month', 'memory'),
  s3Write: price(0.005 / 1_000, 'PUT, POST or LIST', 'memory'),
  customMetric: price(0.3, 'metric and month, the first 10,000', 'memory'),
  customMetricBeyond: price(0.1, 'metric and month, beyond 10,000', 'memory'),
  metricQuery: price(0.01 / 1_000, 'metric asked for by GetMetricData', 'memory'),
  alarm: price(0.1, 'alarm and month', 'memory'),
  compositeAlarm: price(0.5, 'composite alarm and month', 'memory'),
  dashboard: price(3, 'dashboard and month', 'memory'),
  logs: price(0.5, 'GB taken in', 'data'),
  hostedZone: price(0.5, 'zone and month', 'memory'),
} as const satisfies Readonly<Record<string, Price>>;
