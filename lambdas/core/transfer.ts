const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const seconds = (ms: number): string => `${Math.max(0, ms / 1_000).toFixed(1)} s`;

/** How far something that is carried is: `120.0 of 340.0 MiB, 40.0 MiB/s, 5.5 s left` */
export function tellTransfer(bytes: number, total: number | undefined, tookMs: number): string {
  const rate = tookMs > 0 ? (bytes / tookMs) * 1_000 : 0;
  const parts = [
    total === undefined ? mebibytes(bytes) : `${(bytes / 2 ** 20).toFixed(1)} of ${mebibytes(total)}`,
  ];
  if (rate > 0) parts.push(`${mebibytes(rate)}/s`);
  if (rate > 0 && total !== undefined) parts.push(`${seconds(((total - bytes) / rate) * 1_000)} left`);
  return parts.join(', ');
}
