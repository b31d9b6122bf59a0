import * as z from 'zod';

/** What members are in this run: `npm run e2e -- --runtime docker` sets it. */
export const runtime = z.enum(['process', 'docker']).default('process').parse(process.env.NANNY_E2E_RUNTIME);

/** How much longer anything may take: containers have their task's share of a CPU and no more, and their nannies run without a JIT. */
export const patience = runtime === 'docker' ? 3 : 1;
