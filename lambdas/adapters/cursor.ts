import * as z from 'zod';
import { InvalidRequestError } from '../core/errors.ts';

const cursorSchema = z.tuple([z.string(), z.string().min(1).max(200)]);

/** Cursors are opaque to callers; `list` keeps a cursor of one list from being used for another. */
export function encodeCursor(list: string, after: string): string {
  return Buffer.from(JSON.stringify([list, after])).toString('base64url');
}

/** @throws InvalidRequestError for anything that encodeCursor did not make for this list */
export function decodeCursor(list: string, cursor: string): string {
  try {
    const [of, after] = cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    if (of === list) return after;
  } catch {
    // Falls through to the error that a caller can act upon.
  }
  throw new InvalidRequestError('The cursor is not one of ours. Start again without it.', [
    { field: 'cursor', message: 'is not valid for this list' },
  ]);
}
