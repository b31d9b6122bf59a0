import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface StoredMessage {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  readonly senderId: string;
  /** Queue it came from, for a message in a dead-letter queue. */
  readonly deadFrom?: string;
  /** Epoch milliseconds from which it can be received. */
  visibleAt: number;
  receives: number;
  firstReceivedAt?: number;
  /** Changes with each receive: only the newest receipt handle deletes. */
  receipt?: string;
}

type Line = { put: StoredMessage } | { deleted: string };

/**
 * Messages of one queue, on disk as a log of changes: what was sent survives a kill -9. The log is written anew
 * when most of it is about messages that are gone.
 */
export class Journal {
  readonly messages = new Map<string, StoredMessage>();
  readonly #file: string;
  #lines = 0;

  constructor(file: string) {
    this.#file = file;
    mkdirSync(path.dirname(file), { recursive: true });
    if (existsSync(file)) this.#replay(readFileSync(file, 'utf8'));
    this.#rewrite();
  }

  put(message: StoredMessage): void {
    this.messages.set(message.id, message);
    this.#append({ put: message });
  }

  delete(id: string): void {
    if (this.messages.delete(id)) this.#append({ deleted: id });
  }

  clear(): void {
    this.messages.clear();
    this.#rewrite();
  }

  #append(line: Line): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    this.#lines += 1;
    if (this.#lines > 1_000 + 4 * this.messages.size) this.#rewrite();
  }

  #rewrite(): void {
    const lines = [...this.messages.values()].map((put) => `${JSON.stringify({ put })}\n`);
    writeFileSync(`${this.#file}.tmp`, lines.join(''), { mode: 0o600 });
    renameSync(`${this.#file}.tmp`, this.#file);
    this.#lines = lines.length;
  }

  #replay(text: string): void {
    for (const line of text.split('\n')) {
      let change: Line;
      try {
        change = JSON.parse(line) as Line;
      } catch {
        // The last line of a process that was killed while it wrote: that message was never acknowledged.
        continue;
      }
      if ('put' in change) this.messages.set(change.put.id, change.put);
      else this.messages.delete(change.deleted);
    }
  }
}
