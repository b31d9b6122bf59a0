import { wildcard } from '../../aws/names.ts';
import { numbered, type QueryInput } from '../../aws/query-protocol.ts';
import { AwsError } from '../../aws/service.ts';
import type { TagList } from '../ecs/requests.ts';

/** `Filter.n`: all have to match, each by one of its values; `tag:<key>` and `tag-key` besides those named. */
export function byFilters<T extends { readonly tags: TagList }>(
  records: readonly T[],
  input: QueryInput,
  fields: Readonly<Record<string, (record: T) => string>>,
): T[] {
  const tests: ((record: T) => boolean)[] = [];
  for (let index = 1; input[`Filter.${index}.Name`] !== undefined; index += 1) {
    const name = input[`Filter.${index}.Name`]!;
    const values = numbered(input, `Filter.${index}.Value`);
    const matches = (text: string): boolean =>
      values.some((value) => wildcard(value, { question: true }).test(text));
    const field = fields[name];
    if (field !== undefined) tests.push((record) => matches(field(record)));
    else if (name === 'tag-key') tests.push(({ tags }) => tags.some(({ key }) => matches(key)));
    else if (name.startsWith('tag:')) {
      const wanted = name.slice('tag:'.length);
      tests.push(({ tags }) => tags.some(({ key, value }) => key === wanted && matches(value)));
    } else throw new AwsError('InvalidParameterValue', `The filter '${name}' is invalid`);
  }
  return records.filter((record) => tests.every((test) => test(record)));
}

/** In the order of ids, `MaxResults` at a time; all at once without. */
export function page<T>(
  records: readonly T[],
  idOf: (record: T) => string,
  { MaxResults, NextToken }: QueryInput,
): { items: T[]; nextToken?: string } {
  const sorted = [...records].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  const rest = NextToken === undefined ? sorted : sorted.filter((record) => idOf(record) > NextToken);
  const items = MaxResults === undefined ? rest : rest.slice(0, Number(MaxResults));
  return rest.length > items.length ? { items, nextToken: idOf(items.at(-1)!) } : { items };
}
