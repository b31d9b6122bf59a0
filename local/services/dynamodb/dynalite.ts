import { createRequire } from 'node:module';
import { AwsError } from '../../aws/service.ts';

/**
 * dynalite without its HTTP server: our endpoint has checked signature and rights already, and a port less is open.
 * dynalite ships no types; these are the parts in use.
 */
interface DynaliteStore {
  readonly db: { open(): Promise<void>; close(): Promise<void> };
  readonly tableDb: {
    awsAccountId: string;
    awsRegion: string;
    put(key: string, value: unknown, done: (error: Error | null) => void): void;
  };
  getIndexDb(
    type: 'Global',
    table: string,
    index: string,
  ): { del(key: string, done: (error: Error | null) => void): void };
}
interface DynaliteFailure extends Error {
  statusCode?: number;
  body?: { __type: string; message?: string; Message?: string };
}
type Action = (
  store: DynaliteStore,
  input: unknown,
  done: (error: DynaliteFailure | null, output?: Record<string, unknown>) => void,
) => void;
interface Validation {
  types: Record<string, unknown>;
  custom?: unknown;
}

const require = createRequire(import.meta.url);
const validations = require('dynalite/validations') as {
  checkTypes(input: unknown, types: unknown): unknown;
  checkValidations(input: unknown, types: unknown, custom: unknown, store: DynaliteStore): void;
  toLowerFirst(word: string): string;
};
const database = require('dynalite/db') as {
  create(options: Record<string, unknown>): DynaliteStore;
  createIndexKey(item: unknown, table: unknown, keySchema: unknown): string;
};

export interface Dynalite {
  call(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** Overwrites a table's description: for a table that a killed process left in CREATING. */
  putTable(description: Record<string, unknown>): Promise<void>;
  /** Removes one entry of an index, whatever the table itself says. */
  deleteIndexEntry(table: TableDescription, index: string, entry: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

export interface TableDescription extends Record<string, unknown> {
  readonly TableName: string;
  readonly TableStatus: string;
  readonly KeySchema: readonly KeyElement[];
  readonly GlobalSecondaryIndexes?: readonly Index[];
}
export interface KeyElement {
  readonly AttributeName: string;
  readonly KeyType: string;
}
export interface Index {
  readonly IndexName: string;
  readonly KeySchema: readonly KeyElement[];
  readonly Projection: unknown;
}

export async function openDynalite(options: {
  path: string;
  accountId: string;
  region: string;
}): Promise<Dynalite> {
  const store = database.create({ path: options.path, createTableMs: 0, updateTableMs: 0, deleteTableMs: 0 });
  store.tableDb.awsAccountId = options.accountId;
  store.tableDb.awsRegion = options.region;
  try {
    await store.db.open();
  } catch (error) {
    throw new Error(
      `The table data in ${options.path} cannot be opened; is another local cloud using this state folder? ` +
        'Stop it, or choose another folder.',
      { cause: error },
    );
  }
  return {
    call: (operation, input) => call(store, operation, input),
    putTable: (description) =>
      settled((done) => store.tableDb.put(String(description.TableName), description, done)),
    deleteIndexEntry(table, index, entry) {
      const { KeySchema } = table.GlobalSecondaryIndexes!.find(({ IndexName }) => IndexName === index)!;
      const key = database.createIndexKey(entry, table, KeySchema);
      return settled((done) => store.getIndexDb('Global', table.TableName, index).del(key, done));
    },
    close: () => store.db.close(),
  };
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}

function call(
  store: DynaliteStore,
  operation: string,
  input: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const name = validations.toLowerFirst(operation);
  const { types, custom } = require(`dynalite/validations/${name}`) as Validation;
  const action = require(`dynalite/actions/${name}`) as Action;
  // dynalite drops what it does not know, and the caller would believe it was heeded.
  const unknown = Object.keys(input).filter((parameter) => !(parameter in types));
  if (unknown.length > 0) {
    throw new AwsError(
      'ValidationException',
      `The local cloud has no ${operation} with ${unknown.join(', ')}.`,
    );
  }
  let checked: unknown;
  try {
    checked = validations.checkTypes(structuredClone(input), types);
    validations.checkValidations(checked, types, custom, store);
  } catch (error) {
    throw asAwsError(error as DynaliteFailure);
  }
  return new Promise((resolve, reject) => {
    action(store, checked, (error, output) => (error ? reject(asAwsError(error)) : resolve(output ?? {})));
  });
}

function asAwsError(error: DynaliteFailure): Error {
  if (error.body === undefined) return error;
  const code = error.body.__type.split('#').pop() ?? 'InternalServerError';
  return new AwsError(code, error.body.message ?? error.body.Message ?? '', error.statusCode ?? 400);
}
