// biome-ignore lint/suspicious/noExplicitAny: CloudFormation as it is
type Json = any;

/** Intrinsic functions as text, so that whole ARNs can be compared: `<Table.Arn>`, `<AWS::Region>`. */
export function readable(value: Json): Json {
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== 'object' || value === null) return value;
  if (typeof value.Ref === 'string') return `<${value.Ref}>`;
  if (value['Fn::GetAtt']) return `<${value['Fn::GetAtt'].join('.')}>`;
  if (value['Fn::GetStackOutput']) return `<${outputOwner(value['Fn::GetStackOutput'])}>`;
  if (value['Fn::Join']) return value['Fn::Join'][1].map(readable).join(value['Fn::Join'][0]);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, readable(item)]));
}

/** `PublishOutputFnGetAttTableCD117FA1Arn27EC6E03` → `TableCD117FA1Arn`: what the other stack gives away. */
function outputOwner({ OutputName }: { OutputName: string }): string {
  return OutputName.replace(/^PublishOutput(FnGetAtt|Ref)/, '').replace(/[0-9A-F]{8}$/, '');
}

/** `CellC1CreateRole9A3B12FF` → `CellC1CreateRole`: without the hash of the path, which says nothing to people. */
export const withoutHash = (logicalId: string): string => logicalId.replace(/[0-9A-F]{8}$/, '');
