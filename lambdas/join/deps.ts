import type {
  Cell,
  Clock,
  Dispatcher,
  Ids,
  KeyVault,
  Log,
  Pki,
  StorageAccess,
  TaskRuntime,
  TenantStore,
} from '../core/ports.ts';

/** All the world that the join function sees. */
export interface JoinDeps {
  readonly cell: Cell;
  readonly store: Pick<TenantStore, 'get' | 'save' | 'appendEvent'>;
  readonly runtime: Pick<TaskRuntime, 'describe'>;
  readonly vault: Pick<KeyVault, 'decrypt'>;
  readonly pki: Pick<Pki, 'checkMemberRequests' | 'signMemberLeaves'>;
  readonly storage: StorageAccess;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'ulid'>;
  readonly log: Log;
}

/** Who calls, as API Gateway's IAM authorisation found out. */
export interface JoinCaller {
  /** `arn:aws:sts::<account>:assumed-role/<role>/<session>`; ECS makes the session name of a task's role its task id. */
  readonly principalArn: string;
  readonly sourceIp: string;
}
