import { copyFileSync, statSync, truncateSync } from 'node:fs';

export const defaultMaxLogBytes = 16 * 1024 * 1024;

/** The writers append, so cutting the file under them is safe; one older file is kept. */
export function capLog(logFile: string, maxBytes: number): void {
  if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) <= maxBytes) return;
  copyFileSync(logFile, `${logFile}.1`);
  truncateSync(logFile, 0);
}
