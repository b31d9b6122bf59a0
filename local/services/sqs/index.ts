import type { CloudContext, ServiceModule } from '../../aws/service.ts';
import { Queues, queueProvider } from './queues.ts';
import { sqsService } from './service.ts';

/** SQS: standard queues, their messages in `<stateDir>/sqs`. */
export function createModule(context: CloudContext): ServiceModule {
  const queues = new Queues(context);
  return {
    services: [sqsService(queues)],
    providers: [queueProvider(queues)],
    queues,
    async stop() {
      queues.close();
    },
  };
}
