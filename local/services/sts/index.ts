import * as z from 'zod';
import { type QueryInput, queryService } from '../../aws/query-protocol.ts';
import { AwsError, type Caller, type CloudContext, type ServiceModule } from '../../aws/service.ts';
import { document, element } from '../../aws/xml.ts';
import type { CredentialStore } from '../../iam/credentials.ts';
import { parseDocument, type Statement } from '../../iam/document.ts';
import type { Iam } from '../../iam/iam.ts';

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/';
/** Longer than this nobody has it who is an assumed role itself. */
const chainedSeconds = 3_600;

const assumeRoleSchema = z.strictObject({
  Version: z.string(),
  RoleArn: z.string().regex(/^arn:aws:iam::\d+:role\/.+$/, 'is not the ARN of a role'),
  RoleSessionName: z.string().regex(/^[\w+=,.@-]{2,64}$/, 'must be 2 to 64 of letters, digits and +=,.@-_'),
  DurationSeconds: z.coerce.number().pipe(z.int().min(900).max(43_200)).default(3_600),
  Policy: z.string().max(2_048).optional(),
});

export interface StsDeps {
  readonly iam: Iam;
  readonly credentials: CredentialStore;
}

/** STS: AssumeRole with a session policy, and GetCallerIdentity. */
export function createSts(context: Pick<CloudContext, 'accountId'>, deps: StsDeps): ServiceModule {
  const { iam, credentials } = deps;
  const service = queryService({
    name: 'sts',
    operations: {
      AssumeRole: {
        authorize: (input) => [{ action: 'sts:AssumeRole', resource: read(input).RoleArn }],
        run(input, caller) {
          const { RoleArn, RoleSessionName, DurationSeconds, Policy } = read(input);
          if (caller.roleArn !== undefined && DurationSeconds > chainedSeconds) {
            throw new AwsError(
              'ValidationError',
              'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
            );
          }
          iam.requireTrustIn(caller, RoleArn);
          const sessionPolicy = Policy === undefined ? undefined : readPolicy(Policy);
          const lent = credentials.issue(RoleArn, RoleSessionName, DurationSeconds, { sessionPolicy });
          const session: Caller = credentials.find(lent.accessKeyId)!.caller;
          return {
            AssumedRoleUser: { AssumedRoleId: iam.userId(session), Arn: session.principalArn },
            Credentials: {
              AccessKeyId: lent.accessKeyId,
              SecretAccessKey: lent.secretAccessKey,
              SessionToken: lent.sessionToken,
              Expiration: lent.expiration.toISOString(),
            },
          };
        },
      },
      GetCallerIdentity: {
        // Nobody can be denied this.
        authorize: () => [],
        run: (_input, caller) => ({
          Arn: caller.principalArn,
          UserId: iam.userId(caller),
          Account: context.accountId,
        }),
      },
    },
    render: (operation, content) =>
      document(
        `${operation}Response`,
        { [`${operation}Result`]: content, ResponseMetadata: { RequestId: 'local' } },
        namespace,
      ),
    renderError: ({ code, message, status }) =>
      element('ErrorResponse', {
        Error: { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message },
        RequestId: 'local',
      }),
  });
  return { services: [service], providers: [] };
}

function read(input: QueryInput): z.infer<typeof assumeRoleSchema> {
  const parsed = assumeRoleSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new AwsError('ValidationError', problems.join('; '));
}

function readPolicy(text: string): Statement[] {
  try {
    return parseDocument(JSON.parse(text), 'the session policy');
  } catch (error) {
    throw new AwsError('MalformedPolicyDocument', error instanceof Error ? error.message : String(error));
  }
}
