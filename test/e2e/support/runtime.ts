import * as z from 'zod';

/** What members are in this run: `npm run e2e -- --runtime docker` sets it. */
export const runtime = z.enum(['process', 'docker']).default('process').parse(process.env.NANNY_E2E_RUNTIME);
