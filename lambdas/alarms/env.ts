import * as z from 'zod';

/** Environment of the alarms function. The CDK construct sets exactly these. */
export const envSchema = z.object({
  TABLE_NAME: z.string().min(1),
  DEPLOYMENT_NAME: z.string().min(1),
  METRICS_NAMESPACE: z.string().min(1),
  TOPIC_ARN: z.string().min(1),
  RUNBOOK_URL: z.string().min(1),
  PAGE_AFTER_MINUTES: z.coerce.number().pipe(z.int().min(1)),
  STORM_ALARM: z.string().min(1),
});

export type Env = z.infer<typeof envSchema>;
