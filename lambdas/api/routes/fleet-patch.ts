import * as z from 'zod';
import { tenantIdSchema } from '../../core/model/names.ts';
import { firstRollout, type Rollout, waves } from '../../core/model/rollout.ts';
import { minorOf } from '../../core/version-rules.ts';
import { type Context, endpoint } from '../endpoint.ts';
import { changeRollout, lookAtFleet, requireRollout } from '../fleet.ts';
import { problemsOf } from '../issues.ts';
import { ApiError } from '../problem.ts';
import { fleetPatchAnswerSchema, noParams, noQuery } from '../schemas.ts';
import { requireTenant } from '../tenant-access.ts';
import { chooseVersion } from '../versions.ts';
import { reasonBody } from './reason-body.ts';

const path = '/v1/fleet/patch';
const defaultBakeMinutes = 60;

export const fleetPatchBodySchema = z.strictObject({
  /** Exact, or a minor for its newest. */
  version: z.string(),
  /** Tenants that go first, in this order. */
  canary: z.array(tenantIdSchema).max(50).optional(),
  bakeMinutes: z.int().min(0).max(10_080).optional(),
});
type Body = z.infer<typeof fleetPatchBodySchema>;

export const postFleetPatch = endpoint({
  method: 'post',
  path,
  operationId: 'patchFleet',
  summary: 'Bring all tenants of a minor to one of its releases, wave by wave',
  description:
    `Waves: ${waves.map(({ name }) => name).join(', ')} of the tenants. Each tenant gets an ordinary patch operation, in its ` +
    'window and not while it is paused; at most ten at once. When a wave is patched it is watched for `bakeMinutes` before ' +
    'the next begins. It stops by itself when a tenant that it has patched, or is patching, is not well any more. ' +
    'It never takes a step to another minor. One at a time.',
  params: noParams,
  query: noQuery,
  body: {
    schema: fleetPatchBodySchema,
    read(raw) {
      const parsed = fleetPatchBodySchema.safeParse(raw);
      return parsed.success
        ? { value: parsed.data, problems: [] }
        : { value: { version: '' } as Body, problems: problemsOf(parsed.error) };
    },
  },
  answers: { 202: { description: 'It has begun', schema: fleetPatchAnswerSchema } },
  refusals: [404, 409, 413, 415, 422],
  async handle({ body }, context) {
    const { deps, caller } = context;
    const choice = chooseVersion(deps.versions, body.version);
    if (!choice.ok) throw new ApiError('version-refused', `The fleet cannot be patched: ${choice.message}.`);
    const { version } = choice;
    const canary = [...new Set(body.canary ?? [])];
    for (const tenantId of canary) {
      const { spec } = await requireTenant(deps, tenantId);
      if (minorOf(spec.version) === minorOf(version)) continue;
      throw new ApiError(
        'version-refused',
        `Tenant "${tenantId}" runs ${spec.version}: a fleet patch to ${version} never takes a step to another minor. Name another canary.`,
      );
    }
    const now = deps.clock.now().toISOString();
    const rollout = await changeRollout(deps, (newest) => {
      if (newest?.state === 'running') {
        throw new ApiError(
          'operation-under-way',
          `A fleet patch to ${newest.version} is under way (${newest.rolloutId}). Wait for it, or stop it: POST ${path}/stop.`,
        );
      }
      return firstRollout({
        rolloutId: deps.ids.ulid(),
        version,
        requestedBy: caller.arn,
        createdAt: now,
        canary,
        bakeMinutes: body.bakeMinutes ?? defaultBakeMinutes,
        events: [{ at: now, message: `Fleet patch to ${version} asked for by ${caller.arn}.` }],
      });
    });
    await lookAtFleet(deps);
    return { status: 202, body: { rollout } };
  },
});

export const getFleetPatch = endpoint({
  method: 'get',
  path,
  operationId: 'getFleetPatch',
  summary: 'The newest fleet patch: wave, tenants under way and held, what happened',
  params: noParams,
  query: noQuery,
  answers: { 200: { description: 'The fleet patch', schema: fleetPatchAnswerSchema } },
  refusals: [404],
  async handle(_input, { deps }) {
    return { status: 200, body: { rollout: await requireRollout(deps) } };
  },
});

const switches = {
  params: noParams,
  query: noQuery,
  answers: {
    200: { description: 'It was like that already', schema: fleetPatchAnswerSchema },
    202: { description: 'Done', schema: fleetPatchAnswerSchema },
  },
  refusals: [404, 409, 413, 415, 422],
} as const;

export const stopFleetPatch = endpoint({
  ...switches,
  method: 'post',
  path: `${path}/stop`,
  operationId: 'stopFleetPatch',
  summary: 'Begin no further tenant; patches under way end',
  body: reasonBody,
  async handle({ body }, context) {
    const reason = body.reason ?? 'no reason given';
    return flip(context, (rollout, at, by) =>
      rollout.state !== 'running'
        ? undefined
        : told(
            { ...rollout, state: 'stopped', stopped: { at, by, reason } },
            at,
            `Stopped by ${by}: ${reason}.`,
          ),
    );
  },
});

export const resumeFleetPatch = endpoint({
  ...switches,
  method: 'post',
  path: `${path}/resume`,
  operationId: 'resumeFleetPatch',
  summary: 'Go on with a fleet patch that was stopped, or that has stopped by itself',
  body: undefined,
  async handle(_input, context) {
    return flip(context, ({ stopped, ...rollout }, at, by) =>
      rollout.state !== 'stopped'
        ? undefined
        : told({ ...rollout, state: 'running' }, at, `Resumed by ${by}.`),
    );
  },
});

type Flip = (rollout: Rollout, at: string, by: string) => Rollout | undefined;

async function flip({ deps, caller }: Context, change: Flip) {
  const at = deps.clock.now().toISOString();
  const before = await requireRollout(deps);
  const rollout = await changeRollout(deps, (newest) => newest && change(newest, at, caller.arn));
  if (rollout.recordVersion === before.recordVersion) return { status: 200 as const, body: { rollout } };
  await lookAtFleet(deps);
  return { status: 202 as const, body: { rollout } };
}

const told = (rollout: Rollout, at: string, message: string): Rollout => ({
  ...rollout,
  updatedAt: at,
  events: [...rollout.events, { at, message }].slice(-100),
});
