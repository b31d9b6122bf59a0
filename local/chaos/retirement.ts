import type { BusEvent } from '../aws/service.ts';

const waitMs = 7 * 24 * 3600_000;

/**
 * Fargate's notice as it comes to EventBridge. For tasks without a service the resources are the ARNs of the tasks
 * (docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html); times are RFC 1123.
 */
export function retirementNotice(
  taskArn: string,
  { accountId, region }: { readonly accountId: string; readonly region: string },
  now: Date,
): BusEvent {
  const code = 'AWS_ECS_TASK_PATCHING_RETIREMENT';
  return {
    source: 'aws.health',
    'detail-type': 'AWS Health Event',
    resources: [taskArn],
    detail: {
      eventArn: `arn:aws:health:${region}::event/ECS/${code}/${code}_local`,
      service: 'ECS',
      eventTypeCode: code,
      eventTypeCategory: 'scheduledChange',
      eventScopeCode: 'ACCOUNT_SPECIFIC',
      communicationId: 'local',
      startTime: new Date(now.getTime() + waitMs).toUTCString(),
      lastUpdatedTime: now.toUTCString(),
      statusCode: 'upcoming',
      eventRegion: region,
      eventDescription: [{ language: 'en_US', latestDescription: 'Your task will be retired.' }],
      affectedAccount: accountId,
      affectedEntities: [{ entityValue: taskArn, lastUpdatedTime: now.toUTCString(), status: 'IMPAIRED' }],
      page: '1',
      totalPages: '1',
    },
  };
}
