import * as z from 'zod';
import { AwsError } from '../../aws/service.ts';

/** Shapes of the requests. Strict: a field that AWS does not have, or that this ECS does not honour, is refused. */

const tagSchema = z.strictObject({
  key: z
    .string()
    .min(1)
    .max(128)
    .refine((key) => !key.toLowerCase().startsWith('aws:'), 'must not start with aws:'),
  value: z.string().max(256).default(''),
});
export const tagListSchema = z
  .array(tagSchema)
  .max(50)
  .refine((tags) => new Set(tags.map((tag) => tag.key)).size === tags.length, 'has a key twice');
export type TagList = z.infer<typeof tagListSchema>;

const pairs = z.array(z.strictObject({ name: z.string().min(1), value: z.string() }));
const identifier = z
  .string()
  .regex(/^[A-Za-z0-9_/-]*$/, 'may have letters, digits, hyphens, underscores and slashes');
const cluster = z.string().min(1).default('default');
const taskArns = z.array(z.string().min(1)).min(1).max(100);

export const runTaskSchema = z.strictObject({
  cluster,
  taskDefinition: z.string().min(1),
  count: z.int().min(1).max(10).default(1),
  clientToken: z
    .string()
    .regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 characters in the range 33-126')
    .optional(),
  startedBy: identifier.max(128).optional(),
  group: z.string().max(255).optional(),
  launchType: z.enum(['FARGATE', 'EC2', 'EXTERNAL', 'MANAGED_INSTANCES']).optional(),
  capacityProviderStrategy: z
    .array(
      z.strictObject({
        capacityProvider: z.string().min(1),
        weight: z.int().min(0).max(1000).optional(),
        base: z.int().min(0).max(100_000).optional(),
      }),
    )
    .optional(),
  platformVersion: z.enum(['LATEST', '1.4.0']).optional(),
  enableECSManagedTags: z.boolean().optional(),
  enableExecuteCommand: z.boolean().default(false),
  propagateTags: z.enum(['TASK_DEFINITION', 'NONE']).optional(),
  referenceId: z.string().max(1024).optional(),
  tags: tagListSchema.default([]),
  networkConfiguration: z
    .strictObject({
      awsvpcConfiguration: z.strictObject({
        subnets: z.array(z.string().min(1)).min(1).max(16),
        securityGroups: z.array(z.string().min(1)).max(5).optional(),
        assignPublicIp: z.enum(['ENABLED', 'DISABLED']).optional(),
      }),
    })
    .optional(),
  overrides: z
    .strictObject({
      cpu: z.string().optional(),
      memory: z.string().optional(),
      taskRoleArn: z.string().optional(),
      executionRoleArn: z.string().optional(),
      ephemeralStorage: z.strictObject({ sizeInGiB: z.int().min(21).max(200) }).optional(),
      containerOverrides: z
        .array(
          z.strictObject({
            name: z.string().min(1),
            command: z.array(z.string()).optional(),
            environment: pairs.optional(),
            cpu: z.int().optional(),
            memory: z.int().optional(),
            memoryReservation: z.int().optional(),
          }),
        )
        .optional(),
    })
    .refine(
      (overrides) => JSON.stringify(overrides).length <= 8192,
      'must not be longer than 8192 characters',
    )
    .optional(),
  volumeConfigurations: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        managedEBSVolume: z.strictObject({
          roleArn: z.string().min(1),
          sizeInGiB: z.int().min(1).max(16_384),
          snapshotId: z
            .string()
            .regex(/^snap-[0-9a-f]{17}$/, 'must be the id of a snapshot')
            .optional(),
          volumeType: z.enum(['gp2', 'gp3', 'io1', 'io2', 'st1', 'sc1']).default('gp3'),
          encrypted: z.boolean().default(false),
          kmsKeyId: z.string().optional(),
          iops: z.int().min(100).max(256_000).optional(),
          throughput: z.int().min(125).max(1000).optional(),
          filesystemType: z.enum(['ext3', 'ext4', 'xfs']).default('xfs'),
          terminationPolicy: z.strictObject({ deleteOnTermination: z.boolean() }).optional(),
          tagSpecifications: z
            .array(
              z.strictObject({
                resourceType: z.literal('volume'),
                tags: tagListSchema.optional(),
                propagateTags: z.enum(['TASK_DEFINITION', 'NONE']).optional(),
              }),
            )
            .optional(),
        }),
      }),
    )
    .max(1)
    .default([]),
});
export type RunTaskInput = z.infer<typeof runTaskSchema>;

export const describeTasksSchema = z.strictObject({
  cluster,
  tasks: taskArns,
  include: z.array(z.literal('TAGS')).default([]),
});

export const listTasksSchema = z
  .strictObject({
    cluster,
    startedBy: z.string().max(128).optional(),
    family: z.string().optional(),
    desiredStatus: z.enum(['RUNNING', 'PENDING', 'STOPPED']).default('RUNNING'),
    launchType: z.literal('FARGATE').optional(),
    maxResults: z.int().min(1).max(100).default(100),
    nextToken: z.string().optional(),
  })
  .refine(
    (input) =>
      input.startedBy === undefined || (input.family === undefined && input.launchType === undefined),
    'startedBy must be the only filter',
  );

export const stopTaskSchema = z.strictObject({
  cluster,
  task: z.string().min(1),
  reason: z.string().max(1024).optional(),
});
export const describeTaskDefinitionSchema = z.strictObject({
  taskDefinition: z.string().min(1),
  include: z.array(z.literal('TAGS')).default([]),
});
export const describeClustersSchema = z.strictObject({
  clusters: z.array(z.string().min(1)).max(100).default(['default']),
  include: z.array(z.enum(['ATTACHMENTS', 'CONFIGURATIONS', 'SETTINGS', 'STATISTICS', 'TAGS'])).default([]),
});
export const tagResourceSchema = z.strictObject({ resourceArn: z.string().min(1), tags: tagListSchema });
export const listTagsSchema = z.strictObject({ resourceArn: z.string().min(1) });

export function invalidParameter(message: string): AwsError {
  return new AwsError('InvalidParameterException', message);
}

/** @throws AwsError InvalidParameterException that names every bad field */
export function parseRequest<S extends z.ZodType>(schema: S, input: unknown): z.infer<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`,
  );
  throw invalidParameter(problems.join('; '));
}
