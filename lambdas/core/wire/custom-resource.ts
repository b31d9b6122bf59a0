import * as z from 'zod';

/**
 * What CloudFormation sends to a custom resource, and what it wants back at ResponseURL. It turns every scalar of the
 * properties into a string.
 */
const common = {
  ResponseURL: z.string().min(1),
  StackId: z.string().min(1),
  RequestId: z.string().min(1),
  LogicalResourceId: z.string().min(1),
  ResourceType: z.string(),
  ResourceProperties: z.record(z.string(), z.unknown()),
};

export const customResourceEventSchema = z.discriminatedUnion('RequestType', [
  z.object({ RequestType: z.literal('Create'), ...common }),
  z.object({
    RequestType: z.literal('Update'),
    ...common,
    PhysicalResourceId: z.string(),
    OldResourceProperties: z.record(z.string(), z.unknown()),
  }),
  z.object({ RequestType: z.literal('Delete'), ...common, PhysicalResourceId: z.string() }),
]);

export type CustomResourceEvent = z.infer<typeof customResourceEventSchema>;

export interface CustomResourceAnswer {
  readonly status: 'SUCCESS' | 'FAILED';
  readonly physicalId: string;
  /** Why it failed; the first thing that people see in the stack's events. */
  readonly reason?: string;
  /** What `Fn::GetAtt` gives. Never a secret: anybody who may describe the stack reads it. */
  readonly data?: Readonly<Record<string, string>>;
}

/** Bytes of a whole answer that CloudFormation takes are 4096; a reason longer than this helps nobody. */
const maxReason = 1000;

export const customResourceResponse = (
  event: Pick<CustomResourceEvent, 'StackId' | 'RequestId' | 'LogicalResourceId'>,
  { status, physicalId, reason, data }: CustomResourceAnswer,
): Record<string, unknown> => ({
  Status: status,
  Reason: (reason ?? 'Done').slice(0, maxReason),
  PhysicalResourceId: physicalId,
  StackId: event.StackId,
  RequestId: event.RequestId,
  LogicalResourceId: event.LogicalResourceId,
  ...(data ? { Data: data } : {}),
});
