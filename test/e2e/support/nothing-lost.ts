import { expect } from 'vitest';
import { checkHistory } from './linearizability.ts';
import type { Load } from './load.ts';

/**
 * Ends the load. Everything that was acknowledged since it began is there, nothing that nobody wrote is, every answer fits
 * one order, and no write failed twice. All of it is looked at and told, whatever the first of it says.
 *
 * @param met of what a write said that failed: one retry cannot get over that, and the test has done it
 */
export async function expectNothingLost(
  load: Load,
  met = (_message: string): boolean => false,
): Promise<void> {
  const report = await load.stop();
  const { acknowledged, retried, longestGapMs, stoodStillMs, lost, invented, history } = report;
  const failed = report.failed.filter((message) => !met(message));
  const verdict = checkHistory(history);
  const told = [
    `${acknowledged} writes acknowledged, ${lost.length} of them lost`,
    `${retried} with a retry`,
    `${failed.length} failed after it`,
    `${report.failed.length - failed.length} more by what one retry is no promise for`,
    `longest gap ${longestGapMs} ms`,
    `the client itself stood still ${stoodStillMs} ms at most`,
    `${history.length} operations on hot keys ${verdict.linearizable ? 'fit one order' : 'FIT NO ORDER'}`,
  ];
  console.log(`${load.tenantId}: ${told.join('; ')}`);
  expect(acknowledged).toBeGreaterThan(1_000);
  expect({ lost, invented, verdict, failed }).toEqual({
    lost: [],
    invented: [],
    verdict: { linearizable: true },
    failed: [],
  });
}
