import type { TLSSocket } from 'node:tls';
import { AdminError } from './errors.ts';

export type Caller = 'control-plane' | 'nanny-admin';

/**
 * Who calls, by the organisational unit of its certificate. That the tenant's own CA signed it has been checked by TLS.
 * @throws AdminError 403 for every other certificate of the tenant (its clients, its peers)
 */
export function callerOf(socket: TLSSocket): Caller {
  const unit: unknown = socket.getPeerCertificate().subject?.OU;
  if (unit === 'control-plane' || unit === 'nanny-admin') return unit;
  const shown = typeof unit === 'string' ? `a certificate of the unit "${unit}"` : 'this certificate';
  throw new AdminError(
    403,
    'forbidden',
    `The nanny's admin API does not serve ${shown}: it is for the control plane only. etcd itself listens on port 2379.`,
  );
}
