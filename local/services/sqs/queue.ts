import { randomUUID } from 'node:crypto';
import { AwsError } from '../../aws/service.ts';
import { Journal, type StoredMessage } from './journal.ts';

export interface QueueSettings {
  readonly name: string;
  readonly arn: string;
  readonly url: string;
  readonly visibilityTimeoutSeconds: number;
  readonly delaySeconds: number;
  readonly retentionSeconds: number;
  readonly receiveWaitSeconds: number;
  readonly maximumMessageSize: number;
  readonly redrive?: { readonly deadLetterTargetArn: string; readonly maxReceiveCount: number };
}

export interface ReceivedMessage extends StoredMessage {
  readonly receiptHandle: string;
}

/** One standard queue: at least once, in no promised order. */
export class Queue {
  settings: QueueSettings;
  readonly #journal: Journal;
  readonly #now: () => number;
  readonly #bury: (queue: Queue, message: StoredMessage) => void;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  /** @param bury moves a message to the dead-letter queue */
  constructor(
    settings: QueueSettings,
    options: { file: string; now: () => number; bury: (queue: Queue, message: StoredMessage) => void },
  ) {
    this.settings = settings;
    this.#journal = new Journal(options.file);
    this.#now = options.now;
    this.#bury = options.bury;
    // Whoever worked on these has ended with the local cloud that this state comes from.
    for (const message of this.#journal.messages.values()) {
      if (message.receives > 0) message.visibleAt = Math.min(message.visibleAt, this.#now());
    }
  }

  send(body: string, senderId: string, delaySeconds = this.settings.delaySeconds): StoredMessage {
    const now = this.#now();
    const message = {
      id: randomUUID(),
      body,
      senderId,
      sentAt: now,
      visibleAt: now + delaySeconds * 1000,
      receives: 0,
    };
    this.take(message);
    return message;
  }

  take(message: StoredMessage): void {
    this.#journal.put(message);
    this.#wake();
  }

  /** Waits up to `waitMs` for a first message; `[]` at once when the queue closes. */
  async receive(max: number, waitMs: number, visibilitySeconds?: number): Promise<ReceivedMessage[]> {
    const deadline = this.#now() + waitMs;
    for (;;) {
      const found = this.#takeVisible(max, visibilitySeconds);
      const left = deadline - this.#now();
      if (found.length > 0 || left <= 0 || this.#closed) return found;
      await this.#change(Math.min(left, this.#untilNextVisible()));
    }
  }

  delete(receiptHandle: string): void {
    const { id, receipt } = parseHandle(receiptHandle);
    // An old handle of a message that was received again deletes nothing: somebody else works on it.
    if (this.#journal.messages.get(id)?.receipt === receipt) this.#journal.delete(id);
  }

  changeVisibility(receiptHandle: string, seconds: number): void {
    const { id, receipt } = parseHandle(receiptHandle);
    const message = this.#journal.messages.get(id);
    if (message?.receipt !== receipt || message.visibleAt <= this.#now()) {
      throw new AwsError(
        'MessageNotInflight',
        `Value ${receiptHandle} for parameter ReceiptHandle is invalid.`,
      );
    }
    message.visibleAt = this.#now() + seconds * 1000;
    this.take(message);
  }

  purge(): void {
    this.#journal.clear();
  }

  counts(): { visible: number; inFlight: number; delayed: number } {
    this.#dropOld();
    const counts = { visible: 0, inFlight: 0, delayed: 0 };
    for (const message of this.#journal.messages.values()) {
      if (message.visibleAt <= this.#now()) counts.visible += 1;
      else if (message.receives > 0) counts.inFlight += 1;
      else counts.delayed += 1;
    }
    return counts;
  }

  /** Of messages that are not deleted, delayed ones too; 0 when there is none. */
  oldestAgeSeconds(): number {
    this.#dropOld();
    const now = this.#now();
    const ages = [...this.#journal.messages.values()].map(({ sentAt }) => (now - sentAt) / 1000);
    return Math.max(0, ...ages);
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #takeVisible(max: number, visibilitySeconds = this.settings.visibilityTimeoutSeconds): ReceivedMessage[] {
    this.#dropOld();
    const now = this.#now();
    const found: ReceivedMessage[] = [];
    for (const message of [...this.#journal.messages.values()]) {
      if (found.length >= max) break;
      if (message.visibleAt > now) continue;
      const { redrive } = this.settings;
      if (redrive !== undefined && message.receives >= redrive.maxReceiveCount) {
        // First there, then gone here: a crash between the two doubles it, which a queue may do; it never loses it.
        this.#bury(this, message);
        this.#journal.delete(message.id);
        continue;
      }
      message.receives += 1;
      message.firstReceivedAt ??= now;
      message.visibleAt = now + visibilitySeconds * 1000;
      message.receipt = randomUUID();
      this.#journal.put(message);
      found.push({ ...message, receiptHandle: handle(message) });
    }
    return found;
  }

  #dropOld(): void {
    const oldest = this.#now() - this.settings.retentionSeconds * 1000;
    for (const message of this.#journal.messages.values()) {
      if (message.sentAt < oldest) this.#journal.delete(message.id);
    }
  }

  #untilNextVisible(): number {
    const times = [...this.#journal.messages.values()].map((message) => message.visibleAt);
    return Math.max(1, Math.min(...times, Number.MAX_SAFE_INTEGER) - this.#now());
  }

  #change(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      // Longer than setTimeout can count: look again in an hour.
      const timer = setTimeout(done, Math.min(atMostMs, 3_600_000));
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function handle(message: StoredMessage): string {
  return Buffer.from(`${message.id}/${message.receipt}`).toString('base64url');
}

function parseHandle(receiptHandle: string): { id: string; receipt: string } {
  const [id, receipt] = Buffer.from(String(receiptHandle), 'base64url').toString().split('/');
  if (!id || !receipt) {
    throw new AwsError('ReceiptHandleIsInvalid', `The input receipt handle "${receiptHandle}" is not valid.`);
  }
  return { id, receipt };
}
