import * as z from 'zod';
import { AwsError, type BusEvent, type RawRequest, type RawResponse } from './aws/service.ts';
import type { Chaos } from './chaos/chaos.ts';
import type { Faults } from './faults.ts';
import type { Usage } from './iam/usage.ts';
import type { Alarms } from './services/cloudwatch/alarms.ts';
import type { Topics } from './services/sns/topics.ts';

export interface AdminDeps {
  readonly port: number;
  readonly faults: Faults;
  readonly chaos: Pick<Chaos, 'act' | 'hurts'>;
  status(): Record<string, unknown>;
  usage(): Usage[];
  emit(event: BusEvent): void;
  readonly alarms: Pick<Alarms, 'all' | 'speed'>;
  readonly pages: Pick<Topics, 'pages'>;
  /** Starts the stop; the answer is sent before the endpoint closes. */
  stop(): void;
}

const matchSchema = z.strictObject({
  function: z.string().optional(),
  event: z.string().optional(),
  principal: z.string().optional(),
  service: z.string().optional(),
  operation: z.string().optional(),
  resource: z.string().optional(),
  nth: z.int().min(1).optional(),
});

const ruleSchema = z.strictObject({
  match: matchSchema,
  action: z.discriminatedUnion('type', [
    z.strictObject({ type: z.enum(['deny', 'throttle', 'crash-before', 'crash-after']) }),
    z.strictObject({ type: z.literal('cut'), afterBytes: z.int().min(0) }),
    z.strictObject({ type: z.literal('delay'), ms: z.int().min(0).max(600_000) }),
  ]),
  times: z.int().min(1).optional(),
});

const messagesSchema = z.strictObject({
  duplicate: z.boolean().default(false),
  delaySeconds: z.int().min(0).max(900).default(0),
  retryAfterSeconds: z.int().min(0).max(43_200).optional(),
});

const eventSchema = z.strictObject({
  source: z.string(),
  'detail-type': z.string(),
  detail: z.unknown(),
  resources: z.array(z.string()).default([]),
});

/** How many seconds of the alarms' periods pass in one second. */
const speedSchema = z.strictObject({ speed: z.number().min(1).max(60) });

/**
 * `/_local/*`: control of the local cloud itself, without signature.
 *
 * GET status · GET calls?function&event&since · GET usage · GET, POST, DELETE faults · GET, POST chaos · POST messages ·
 * POST events · GET, POST alarms · GET pages · POST stop
 */
export function createAdmin(deps: AdminDeps): (request: RawRequest) => Promise<RawResponse> {
  const hosts = new Set([`127.0.0.1:${deps.port}`, `localhost:${deps.port}`]);
  const routes: Record<string, (request: RawRequest) => unknown> = {
    'GET status': () => ({ ...deps.status(), faults: deps.faults.rules() }),
    'GET calls': ({ query }) => ({
      calls: deps.faults.calls({
        function: query.get('function') ?? undefined,
        event: query.get('event') ?? undefined,
        since: Number(query.get('since') ?? 0),
      }),
    }),
    'GET usage': () => ({ usage: deps.usage() }),
    'GET faults': () => ({ rules: deps.faults.rules(), messages: deps.faults.messages }),
    'POST faults': ({ body }) => ({ id: deps.faults.add(ruleSchema.parse(JSON.parse(body.toString()))) }),
    'DELETE faults': () => {
      deps.faults.clear();
      return {};
    },
    'GET chaos': () => ({ hurts: deps.chaos.hurts(), rules: deps.faults.rules() }),
    'POST chaos': async ({ body }) => ({ told: await deps.chaos.act(JSON.parse(body.toString())) }),
    'POST messages': ({ body }) => {
      deps.faults.messages = messagesSchema.parse(JSON.parse(body.toString()));
      return deps.faults.messages;
    },
    'POST events': ({ body }) => {
      deps.emit(eventSchema.parse(JSON.parse(body.toString())));
      return {};
    },
    'GET alarms': () => ({
      speed: deps.alarms.speed,
      alarms: deps.alarms.all().map(({ alarm, state, reason, stateAt }) => ({
        name: alarm.AlarmName,
        state,
        reason,
        since: new Date(stateAt).toISOString(),
      })),
    }),
    'POST alarms': ({ body }) => {
      deps.alarms.speed = speedSchema.parse(JSON.parse(body.toString())).speed;
      return { speed: deps.alarms.speed };
    },
    'GET pages': () => ({ pages: deps.pages.pages() }),
    'POST stop': () => {
      deps.stop();
      return { stopping: true };
    },
  };
  return async (request) => {
    // A web page that resolves its own name to 127.0.0.1 sends its own name here.
    if (!hosts.has(request.headers.host ?? '')) return answer(403, { message: 'Only by 127.0.0.1.' });
    const name = request.path.replace(/^\/_local\//, '');
    const route = routes[`${request.method} ${name}`];
    if (!route)
      return answer(404, { message: `There is no ${request.method} ${name}.`, routes: Object.keys(routes) });
    try {
      return answer(200, await route(request));
    } catch (error) {
      if (error instanceof z.ZodError) return answer(400, { message: z.prettifyError(error) });
      if (error instanceof SyntaxError) return answer(400, { message: 'The body is no JSON.' });
      if (error instanceof AwsError) return answer(error.status, { message: error.message });
      throw error;
    }
  };
}

function answer(status: number, document: unknown): RawResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: `${JSON.stringify(document)}\n` };
}
