import { physicalName } from '../../aws/names.ts';
import { AwsError, type ResourceProvider, type TemplateResource } from '../../aws/service.ts';
import type { Dynalite, Index, KeyElement, TableDescription } from './dynalite.ts';
import { repairIndexes } from './repair.ts';

/** Table name → attribute that holds the time to live. */
export type ExpiringTables = Map<string, { attribute: string; key: string[] }>;

/** @param unclean the process that wrote this state before did not end by itself */
export function tableProvider(
  dynalite: Dynalite,
  expiring: ExpiringTables,
  unclean = false,
): ResourceProvider {
  return {
    types: ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'],
    async provision(resource) {
      const wanted = wantedTable(resource);
      const existing = await describe(dynalite, wanted.TableName);
      const table =
        existing === undefined
          ? await create(dynalite, wanted)
          : await adopt(dynalite, wanted, existing, resource);
      if (unclean && existing !== undefined) await repairIndexes(dynalite, table);
      const ttl = resource.properties.TimeToLiveSpecification;
      if (ttl?.Enabled === true || ttl?.Enabled === 'true') {
        const key = wanted.KeySchema.map(({ AttributeName }) => AttributeName);
        expiring.set(wanted.TableName, { attribute: ttl.AttributeName, key });
      }
      return {
        ref: wanted.TableName,
        attributes: { Arn: String(table.TableArn), TableId: String(table.TableId) },
      };
    },
  };
}

function wantedTable(resource: TemplateResource) {
  const { TableName, KeySchema, AttributeDefinitions, GlobalSecondaryIndexes, StreamSpecification } =
    resource.properties;
  if (StreamSpecification !== undefined && resource.type === 'AWS::DynamoDB::Table') {
    throw new Error(`The local cloud has no DynamoDB streams: ${resource.logicalId} asks for one.`);
  }
  return {
    TableName: String(TableName ?? physicalName(resource, 255)),
    KeySchema: KeySchema as KeyElement[],
    AttributeDefinitions,
    BillingMode: 'PAY_PER_REQUEST',
    ...(GlobalSecondaryIndexes?.length > 0
      ? {
          GlobalSecondaryIndexes: (GlobalSecondaryIndexes as Index[]).map((index) => ({
            IndexName: index.IndexName,
            KeySchema: index.KeySchema,
            Projection: index.Projection,
          })),
        }
      : {}),
  };
}

type Wanted = ReturnType<typeof wantedTable>;

async function describe(dynalite: Dynalite, name: string): Promise<TableDescription | undefined> {
  try {
    return (await dynalite.call('DescribeTable', { TableName: name })).Table as TableDescription;
  } catch (error) {
    if (error instanceof AwsError && error.code === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

async function create(dynalite: Dynalite, wanted: Wanted): Promise<TableDescription> {
  await dynalite.call('CreateTable', wanted);
  // Zero milliseconds of creation still are a few turns of the event loop.
  for (;;) {
    const table = await describe(dynalite, wanted.TableName);
    if (table?.TableStatus === 'ACTIVE') return table;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function adopt(
  dynalite: Dynalite,
  wanted: Wanted,
  existing: TableDescription,
  resource: TemplateResource,
): Promise<TableDescription> {
  const [now, then] = [shape(wanted), shape(existing)];
  if (now !== then) {
    throw new Error(
      `The keys or indexes of table ${wanted.TableName} (${resource.logicalId}) have changed since this state was ` +
        'made, and the local cloud does not migrate tables. Start with another --state folder.',
    );
  }
  if (existing.TableStatus === 'ACTIVE') return existing;
  const repaired = {
    ...existing,
    TableStatus: 'ACTIVE',
    ...(existing.GlobalSecondaryIndexes && {
      GlobalSecondaryIndexes: existing.GlobalSecondaryIndexes.map((index) => ({
        ...index,
        IndexStatus: 'ACTIVE',
      })),
    }),
  };
  await dynalite.putTable(repaired);
  return repaired;
}

/** What cannot be changed in place, in an order that does not matter. */
function shape(table: Pick<TableDescription, 'KeySchema' | 'GlobalSecondaryIndexes'>): string {
  const keys = (schema: readonly KeyElement[]) =>
    schema.map(({ AttributeName, KeyType }) => [KeyType, AttributeName]);
  const indexes = (table.GlobalSecondaryIndexes ?? [])
    .map((index) => [index.IndexName, keys(index.KeySchema)])
    .sort();
  return JSON.stringify([keys(table.KeySchema).sort(), indexes]);
}
