import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestCloud } from './cloud.ts';

/** What a function has said of a tenant with `page: true`: in CloudWatch an alarm wakes somebody for it. */
export function pagesOf({ stateDir }: TestCloud, tenantId: string): string[] {
  const folder = join(stateDir, 'logs');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.log'))
    .flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'))
    .filter((line) => line.includes('"page":true') && line.includes(`"tenantId":"${tenantId}"`));
}
