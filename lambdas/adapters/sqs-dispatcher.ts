import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Dispatcher, Duty } from '../core/ports.ts';
import { callAws, clientDefaults } from './aws-errors.ts';

/**
 * "Look at tenant X" over one queue per duty.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | look | sqs:SendMessage | the queue of the duty |
 * | lookAtFleet | sqs:SendMessage | the queue of the sweep |
 */
export class SqsDispatcher implements Dispatcher {
  readonly #client: SQSClient;
  readonly #queues: Readonly<Record<Duty, string>>;

  /** @param options.queues queue URLs: `Cell.queues` */
  constructor(options: { queues: Readonly<Record<Duty, string>>; client?: SQSClient }) {
    this.#client = options.client ?? new SQSClient(clientDefaults);
    this.#queues = options.queues;
  }

  async look(tenantId: string, duty: Duty, delaySeconds = 0): Promise<void> {
    if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900) {
      throw new RangeError(`delaySeconds must be a whole number from 0 to 900, is ${delaySeconds}`);
    }
    await this.#send(duty, { tenantId }, delaySeconds);
  }

  async lookAtFleet(): Promise<void> {
    await this.#send('sweep', { fleet: 'patch' }, 0);
  }

  async #send(duty: Duty, message: object, delaySeconds: number): Promise<void> {
    const command = new SendMessageCommand({
      QueueUrl: this.#queues[duty],
      MessageBody: JSON.stringify(message),
      DelaySeconds: delaySeconds,
    });
    await callAws('sqs:SendMessage', () => this.#client.send(command));
  }
}
