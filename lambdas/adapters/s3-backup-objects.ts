import {
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  S3Client,
} from '@aws-sdk/client-s3';
import { ControlPlaneError } from '../core/errors.ts';
import type { BackupObjects, StoredObject } from '../core/ports.ts';
import { callAws, clientDefaults } from './aws-errors.ts';

/** S3's limit for one DeleteObjects. */
const keysPerCall = 1_000;

/**
 * Names in the backup bucket. Nothing here reads an object, HeadObject included: it would take s3:GetObject.
 *
 * | method | AWS actions | resource |
 * |---|---|---|
 * | list, exists | s3:ListBucket | the bucket, condition s3:prefix |
 * | remove | s3:DeleteObject | objects below the cell's prefix |
 */
export class S3BackupObjects implements BackupObjects {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(options: { bucket: string; client?: S3Client }) {
    this.#client = options.client ?? new S3Client(clientDefaults);
    this.#bucket = options.bucket;
  }

  async list(prefix: string, options: { readonly after?: string } = {}): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    let from: Pick<ListObjectsV2CommandInput, 'ContinuationToken' | 'StartAfter'> = options.after
      ? { StartAfter: options.after }
      : {};
    for (;;) {
      const page = await this.#page({ Bucket: this.#bucket, Prefix: prefix, ...from });
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined) found.push({ key: Key, bytes: Size ?? 0 });
      }
      if (page.NextContinuationToken === undefined) return found;
      from = { ContinuationToken: page.NextContinuationToken };
    }
  }

  async exists(key: string): Promise<boolean> {
    const { Contents } = await this.#page({ Bucket: this.#bucket, Prefix: key, MaxKeys: 1 });
    // Names are listed in their order: the name itself comes before all that begin with it.
    return Contents?.[0]?.Key === key;
  }

  /** @throws ControlPlaneError naming the first key that could not be removed; the others are gone */
  async remove(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += keysPerCall) {
      const Objects = keys.slice(at, at + keysPerCall).map((Key) => ({ Key }));
      const command = new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } });
      const { Errors = [] } = await callAws('s3:DeleteObject', () => this.#client.send(command));
      const [first] = Errors;
      if (first !== undefined) {
        const code = first.Code === 'AccessDenied' ? 'access-denied' : 'aws-refused';
        throw new ControlPlaneError(
          code,
          `s3:DeleteObject was refused for ${Errors.length} objects, among them ${first.Key}: ${first.Code} ${first.Message}`,
          { retryable: first.Code === 'InternalError' || first.Code === 'SlowDown' },
        );
      }
    }
  }

  #page(input: ListObjectsV2CommandInput) {
    return callAws('s3:ListBucket', () => this.#client.send(new ListObjectsV2Command(input)));
  }
}
