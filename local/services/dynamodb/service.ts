import type { Authorization, JsonService } from '../../aws/service.ts';
import { AwsError } from '../../aws/service.ts';
import type { Dynalite } from './dynalite.ts';

interface TableInput {
  TableName?: string;
  IndexName?: string;
  RequestItems?: Record<string, unknown>;
  Key?: { PK?: { S?: string } };
  Item?: { PK?: { S?: string } };
}

const itemOperations = ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query', 'Scan', 'DescribeTable'];
const batchOperations = ['BatchGetItem', 'BatchWriteItem'];

/** What this project's roles may do with tables. Tables themselves come from the templates only. */
export function dynamodbService(options: {
  dynalite: Dynalite;
  accountId: string;
  region: string;
}): JsonService {
  const { dynalite } = options;
  const prefix = `arn:aws:dynamodb:${options.region}:${options.accountId}:table/`;
  const tableArn = (name: string | undefined): string => {
    if (name === undefined) throw new AwsError('ValidationException', 'TableName is missing.');
    return name.startsWith('arn:') ? name : prefix + name;
  };
  const one = (operation: string) => ({
    authorize: ({ TableName, IndexName, Key, Item }: TableInput): Authorization[] => {
      const leading = (Key ?? Item)?.PK?.S;
      return [
        {
          action: `dynamodb:${operation}`,
          resource: tableArn(TableName) + (IndexName === undefined ? '' : `/index/${IndexName}`),
          ...(leading !== undefined && { context: { 'dynamodb:LeadingKeys': [leading] } }),
        },
      ];
    },
    run: (input: TableInput) => dynalite.call(operation, { ...input }),
  });
  const many = (operation: string) => ({
    authorize: ({ RequestItems }: TableInput): Authorization[] =>
      Object.keys(RequestItems ?? {}).map((table) => ({
        action: `dynamodb:${operation}`,
        resource: tableArn(table),
      })),
    run: (input: TableInput) => dynalite.call(operation, { ...input }),
  });
  return {
    kind: 'json',
    name: 'dynamodb',
    targetPrefix: 'DynamoDB_20120810',
    jsonVersion: '1.0',
    operations: Object.fromEntries([
      ...itemOperations.map((operation) => [operation, one(operation)] as const),
      ...batchOperations.map((operation) => [operation, many(operation)] as const),
    ]),
  };
}
