import * as z from 'zod';

/** Environment of the guard function. The CDK construct sets exactly these. */
export const envSchema = z.object({ TABLE_NAME: z.string().min(1) });
