import * as z from 'zod';
import { readCatalogue } from '../../core/backup/catalogue.ts';
import { ConflictError, InvalidRequestError } from '../../core/errors.ts';
import { isoTimeSchema, tenantIdSchema } from '../../core/model/names.ts';
import { operationSchema } from '../../core/model/operation.ts';
import type { Restore, RestoreTarget } from '../../core/model/restore.ts';
import type { TenantRecord } from '../../core/model/tenant.ts';
import { pinSource } from '../../core/restore/pin.ts';
import { revisionsBeyond } from '../../core/restore/source.ts';
import { tenantDocumentSchema } from '../../core/tenant-document.ts';
import { compareVersions } from '../../core/version-order.ts';
import { requireTenantAuthority } from '../authority.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { problemsOf } from '../issues.ts';
import { newOperation, record } from '../operations.ts';
import { giveUpPlace, placeIn } from '../placement.ts';
import { ApiError } from '../problem.ts';
import { noQuery, tenantParams } from '../schemas.ts';
import { announce, refuseWhileDeleting, withOperation } from '../start-operation.ts';
import { cellOf, changeTenant, documentOf } from '../tenant-access.ts';
import { chooseVersion } from '../versions.ts';
import { deletedTenant, type Restorable } from './deleted-tenant.ts';
import { checkQuota, firstIncarnation } from './put-tenant.ts';

export const restoreBodySchema = z.strictObject({
  /** `newest`, a revision, or a time (RFC 3339): the last state that was seen by then. */
  to: z.union([z.literal('newest'), z.int().min(1), z.iso.datetime({ offset: true })]),
  /** A new tenant with this name and the same spec, instead of the one that is there. */
  into: tenantIdSchema.optional(),
  /** Of the new tenant: a version on offer, or a minor. @default the one of the tenant that is there */
  version: z.string().max(32).optional(),
  /** Only says what would come of it. */
  dryRun: z.boolean().default(false),
});

type Body = z.infer<typeof restoreBodySchema>;

export const estimateSchema = z.strictObject({
  from: tenantIdSchema,
  into: tenantIdSchema,
  backupId: z.string(),
  /** At least; for a time, a part of one more segment may come on top. */
  revision: z.int(),
  segments: z.int(),
  /** To be fetched. */
  bytes: z.int(),
  seconds: z.int(),
  /** Nothing that was written before is missing. */
  coveredUntil: isoTimeSchema,
  /** In place: what the cluster has beyond that, and loses. */
  lost: z.strictObject({ revisions: z.int(), since: isoTimeSchema }).nullable(),
});

export const restoreAnswerSchema = z.strictObject({
  estimate: estimateSchema,
  /** null with `dryRun`. */
  tenant: tenantDocumentSchema.nullable(),
  operation: operationSchema.nullable(),
});

const body = {
  schema: restoreBodySchema,
  optional: false,
  read(raw: unknown) {
    const parsed = restoreBodySchema.safeParse(raw);
    if (!parsed.success) {
      return { value: { to: 'newest', dryRun: true } as Body, problems: problemsOf(parsed.error) };
    }
    const { version, into } = parsed.data;
    const message = 'goes with "into" only: patch the tenant itself before or after';
    const problems = version !== undefined && into === undefined ? [{ field: 'version', message }] : [];
    return { value: parsed.data, problems };
  },
};

export const restoreTenant = endpoint({
  method: 'post',
  path: '/v1/tenants/{tenantId}/restore',
  operationId: 'restoreTenant',
  summary: 'Make the tenant, or a new one, what it was',
  description:
    'In place: a worker prepares the wanted state beside the running cluster; only when that is safe the old members are ' +
    'stopped, and a new incarnation begins from it under the same name and certificates. What was written after the ' +
    'restored state is lost. With `into` a new tenant with its own certificate authority is made, and this one is not ' +
    'touched. A deleted tenant can be restored `into` a new one, of the same name too, for 35 days. The estimate says what would come of it; with `dryRun` nothing is begun.',
  params: tenantParams,
  query: noQuery,
  body,
  answers: {
    200: { description: 'What would come of it', schema: restoreAnswerSchema },
    202: { description: 'Accepted', schema: restoreAnswerSchema },
  },
  refusals: [403, 404, 409, 413, 415, 422],
  async handle({ params: { tenantId }, body: { to, into, dryRun, version } }, context) {
    const { deps, caller } = context;
    if (into !== undefined) requireTenantAuthority(caller.authority, into);
    const living = await deps.store.get(tenantId);
    const source = living ?? (await deletedTenant(deps, tenantId, into));
    if (living !== undefined) refuse(living, into);
    if (into !== undefined) await refuseTaken(context, into);
    const spec = version === undefined ? source.spec : { ...source.spec, version: chosen(context, version) };
    const wanted = await plan(context, { ...source, spec }, targetOf(to), living);
    const { pin, estimatedSeconds: seconds, restore } = wanted;
    const estimate = {
      from: tenantId,
      into: into ?? tenantId,
      backupId: pin.backupId,
      revision: pin.expectedRevision,
      segments: pin.segments,
      bytes: pin.bytes + pin.segmentBytes,
      seconds,
      coveredUntil: pin.contentAt,
      lost:
        into === undefined
          ? {
              revisions: revisionsBeyond(pin.expectedRevision, restore.knownRevision),
              since: pin.contentAt,
            }
          : null,
    };
    if (dryRun) return { status: 200, body: { estimate, tenant: null, operation: null } };
    const begun =
      into === undefined
        ? await inPlace(context, tenantId, wanted.restore)
        : await clone(context, { ...source, spec }, into, wanted.restore);
    return {
      status: 202,
      body: { estimate, tenant: await documentOf(deps, begun.tenant), operation: begun.operation },
    };
  },
});

const targetOf = (to: Body['to']): RestoreTarget => {
  if (to === 'newest') return { kind: 'newest' };
  return typeof to === 'number'
    ? { kind: 'revision', revision: to }
    : { kind: 'time', at: new Date(to).toISOString() };
};

/** @throws InvalidRequestError when it is not on offer */
function chosen({ deps }: Context, version: string): string {
  const choice = chooseVersion(deps.versions, version);
  if (!choice.ok)
    throw new InvalidRequestError(choice.message, [{ field: 'version', message: choice.message }]);
  return choice.version;
}

/** A repair under way does not block: whoever restores has said what the cluster is to be. */
function refuse(tenant: TenantRecord, into?: string): void {
  refuseWhileDeleting(tenant);
  if (into !== undefined) return;
  const { tenantId, operation, status, incarnation } = tenant;
  if (operation !== undefined) {
    throw new ApiError(
      'operation-under-way',
      `Tenant "${tenantId}" has a ${operation.kind} under way (${operation.operationId}), and operations go one at a time. ` +
        `Wait for it (GET /v1/tenants/${tenantId}/operations/${operation.operationId}), then send this again.`,
      { 'retry-after': '15' },
    );
  }
  if (status.phase === 'creating' || incarnation.state !== 'formed') {
    throw new ApiError(
      'recovering',
      `A cluster of tenant "${tenantId}" is being started. Send this again when its phase is available.`,
      { 'retry-after': '15' },
    );
  }
}

async function refuseTaken({ deps }: Context, into: string): Promise<void> {
  if ((await deps.store.get(into)) === undefined) return;
  throw new ApiError('conflict', `There is a tenant "${into}" already. Choose another name for the clone.`);
}

async function plan(
  { deps }: Context,
  source: Restorable,
  target: RestoreTarget,
  living: TenantRecord | undefined,
) {
  const { tenantId, cell: cellId, spec } = source;
  const { store } = deps;
  if (target.kind === 'time' && Date.parse(target.at) > deps.clock.now().getTime()) {
    throw new ApiError('conflict', `${target.at} has not come yet: nothing can be restored of then.`);
  }
  const objects = deps.objectsOf(cellOf(deps, source));
  const catalogue = await readCatalogue({ store, objects }, cellId, tenantId);
  const found = pinSource(target, { ...catalogue, first: living?.firstIncarnation }, cellId);
  if (found.kind === 'impossible') {
    throw new ApiError('conflict', `Nothing is restored of "${tenantId}": ${found.problem}.`);
  }
  const { pin, estimatedSeconds, furthest } = found;
  if (compareVersions(minorOf(pin.etcdVersion), minorOf(spec.version)) > 0) {
    throw new ApiError(
      'version-refused',
      `The backup is of etcd ${pin.etcdVersion}, which ${spec.version} cannot read. It takes ${minorOf(pin.etcdVersion).slice(0, -2)} or later: of "${tenantId}" by a patch, of a new tenant by "version".`,
    );
  }
  const restore: Omit<Restore, 'operationId'> = {
    target,
    pin,
    // A clone has its own.
    incarnation: living?.incarnation.number ?? 1,
    knownRevision: Math.max(living?.highestRevision ?? 0, furthest),
    requestedAt: deps.clock.now().toISOString(),
  };
  return { pin, estimatedSeconds, restore };
}

const minorOf = (version: string): string => `${version.split('.').slice(0, 2).join('.')}.0`;

type Wanted = Omit<Restore, 'operationId'>;
const told = ({ target, pin }: Wanted): string => {
  const what =
    target.kind === 'newest'
      ? 'its newest state'
      : target.kind === 'time'
        ? target.at
        : `revision ${target.revision}`;
  return `${what}, from backup ${pin.backupId} of ${pin.from} and ${pin.segments} segments`;
};

async function inPlace(context: Context, tenantId: string, wanted: Wanted) {
  const { deps } = context;
  const operation = newOperation(context, tenantId, 'restore', `Restore asked for: ${told(wanted)}`);
  const { operationId } = operation;
  const { tenant } = await changeTenant(deps, tenantId, (newest) => {
    refuse(newest);
    if (newest.incarnation.number !== wanted.incarnation) {
      throw new ConflictError(`"${tenantId}" was recovered while this request ran. Send it again.`);
    }
    return { ...withOperation(newest, operation, deps.clock.now()), restore: { ...wanted, operationId } };
  });
  await announce(context, tenant, operation);
  return { tenant, operation };
}

async function clone(context: Context, source: Restorable, into: string, wanted: Wanted) {
  const { deps, caller } = context;
  await checkQuota(context);
  const number = await firstIncarnation(context, into);
  const operation = newOperation(context, into, 'create', `Clone asked for: ${told(wanted)}`);
  const { operationId } = operation;
  const now = deps.clock.now();
  const since = now.toISOString();
  const { tenantId: from, cell, spec } = source;
  await placeIn(deps, cell, into, spec.members, `A clone lives where the backups of "${from}" are`);
  const message = `The cluster is being made of a backup of ${from}.`;
  const fresh: TenantRecord = {
    schemaVersion: 1,
    tenantId: into,
    cell,
    owner: caller.arn,
    createdAt: since,
    recordVersion: 1,
    generation: 1,
    observedGeneration: 0,
    spec,
    status: {
      phase: 'creating',
      conditions: [{ type: 'Ready', status: 'False', reason: 'Creating', message, since }],
    },
    incarnation: { state: 'gathering', number, token: deps.ids.clusterToken() },
    firstIncarnation: number,
    members: {},
    restore: { ...wanted, operationId, incarnation: number, knownRevision: 0 },
    fence: 0,
    highestRevision: 0,
    nextCheckAt: since,
  };
  const tenant = withOperation(fresh, operation, now);
  try {
    await deps.store.create(tenant);
  } catch (error) {
    if (error instanceof ConflictError) await giveUpPlace(deps, cell, into, await deps.store.get(into));
    throw error;
  }
  await announce(context, tenant, operation);
  // The timeline of one that is deleted is closed.
  if (from !== into && (await deps.store.get(from)) !== undefined)
    await record(deps, { tenantId: from, operationId }, 'seen', `A clone of it is made: ${into}.`);
  return { tenant, operation };
}
