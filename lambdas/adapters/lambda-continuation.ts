import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { callAws, clientDefaults } from './aws-errors.ts';

/**
 * Lets a function go on in an invocation of its own after this one's time.
 *
 * AWS action: lambda:InvokeFunction on the function itself.
 */
export async function continueIn(
  functionArn: string,
  event: unknown,
  client: LambdaClient = new LambdaClient(clientDefaults),
): Promise<void> {
  const command = new InvokeCommand({
    FunctionName: functionArn,
    InvocationType: 'Event',
    Payload: Buffer.from(JSON.stringify(event)),
  });
  await callAws('lambda:InvokeFunction', () => client.send(command));
}
