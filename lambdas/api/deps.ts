import type { ApiCell } from '../core/model/cell.ts';
import type {
  BackupObjects,
  Clock,
  Dispatcher,
  Ids,
  KeyVault,
  Log,
  Pki,
  TenantStore,
} from '../core/ports.ts';
import type { Authority } from './env.ts';
import type { VersionCatalog } from './versions.ts';

/** All the world that the API's routes see. */
export interface ApiDeps {
  readonly store: TenantStore;
  readonly keyVault: KeyVault;
  readonly pki: Pki;
  readonly clock: Pick<Clock, 'now'>;
  readonly ids: Pick<Ids, 'ulid' | 'clusterToken'>;
  readonly log: Log;
  /** Not empty. New tenants go into the emptiest one. */
  readonly cells: readonly ApiCell[];
  /** Queues of one cell. */
  dispatcherOf(cell: ApiCell): Dispatcher;
  /** What is in the backup bucket of one cell, by name. */
  objectsOf(cell: ApiCell): Pick<BackupObjects, 'list'>;
  readonly versions: VersionCatalog;
  readonly maxTenants: number;
  readonly maxTenantsPerCell: number;
  readonly authority: Authority;
}
