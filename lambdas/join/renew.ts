import { ControlPlaneError } from '../core/errors.ts';
import type { IssuedCertificates, RenewRequest } from '../core/wire/join.ts';
import { admit, NotThisTaskError } from './admit.ts';
import { signLeaves } from './certificates.ts';
import type { JoinCaller, JoinDeps } from './deps.ts';

/** "New leaves, please." Only for a task that has joined already. */
export async function renew(
  deps: JoinDeps,
  request: RenewRequest,
  caller: JoinCaller,
): Promise<IssuedCertificates> {
  const admission = await admit(deps, request, caller);
  if (admission.kind === 'leave') {
    throw new NotThisTaskError(`No certificates for ${request.memberName}: ${admission.reason}.`);
  }
  if (admission.kind !== 'member') {
    throw new ControlPlaneError('not-joined', `${request.memberName} has to join before it renews.`);
  }
  return signLeaves(deps, admission.tenant, admission.member, request.csrs);
}
