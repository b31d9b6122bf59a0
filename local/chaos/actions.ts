import * as z from 'zod';

const member = z.string().min(1);
const zone = z.string().min(1);
const on = <D extends string>(what: D) => z.strictObject({ do: z.literal(what), member });

/** What `POST /_local/chaos` takes. */
export const chaosActionSchema = z.discriminatedUnion('do', [
  on('kill-member'),
  on('kill-nanny'),
  /** `hard`: no time to hand over or to write anything, as when the host is lost. */
  z.strictObject({ do: z.literal('stop-task'), member, hard: z.boolean().default(false) }),
  /** A whole zone also refuses launches. */
  z.strictObject({ do: z.literal('cut'), member }),
  z.strictObject({ do: z.literal('cut-zone'), zone }),
  on('pause'),
  on('resume'),
  /** Share of the time that etcd stands still, and for how long at a stretch. */
  z.strictObject({
    do: z.literal('slow'),
    member,
    share: z.number().min(0.05).max(0.95).default(0.8),
    periodMs: z.int().min(20).max(10_000).default(250),
  }),
  /** Bytes that stay free on the member's disk. */
  z.strictObject({ do: z.literal('fill-disk'), member, leave: z.int().min(0).default(0) }),
  /** `live-db`: under an etcd that goes on, as bits rot; else it is killed for it, and looks at its data when it starts. */
  z.strictObject({ do: z.literal('corrupt'), member, what: z.enum(['db', 'live-db', 'wal']).default('db') }),
  z.strictObject({ do: z.literal('hold-zone'), zone, at: z.enum(['launch', 'start']).default('launch') }),
  /** Fargate's notice, days before it stops the task. */
  on('retire'),
  /** A byte in the middle of a stored object, as bits rot. `key`: part of it; the newest that has it. */
  z.strictObject({ do: z.literal('flip-backup'), key: z.string().min(1) }),
  /** As if somebody with every right had deleted it, former versions included. */
  z.strictObject({ do: z.literal('lose-backup'), key: z.string().min(1) }),
  /** All tasks of a tenant at once, nothing handed over; `loseDisks`: none of their disks is kept. */
  z.strictObject({
    do: z.literal('stop-all'),
    tenant: z.string().min(1),
    loseDisks: z.boolean().default(false),
  }),
  z.strictObject({
    do: z.enum(['deny', 'throttle']),
    service: z.string().optional(),
    operation: z.string().optional(),
    function: z.string().optional(),
    resource: z.string().optional(),
    /** Of functions, while they work for this tenant. */
    tenant: z.string().optional(),
    times: z.int().min(1).optional(),
  }),
  /** Calls of S3 that take their time, or whose connection breaks in the middle of the body. */
  z.strictObject({
    do: z.literal('slow-s3'),
    resource: z.string().optional(),
    ms: z.int().min(1).max(600_000),
    times: z.int().min(1).optional(),
  }),
  z.strictObject({
    do: z.literal('cut-s3'),
    resource: z.string().optional(),
    afterBytes: z.int().min(0).default(1_000),
    times: z.int().min(1).optional(),
  }),
  /** EventBridge rules with this in their name tell nobody, as when somebody has disabled them. */
  z.strictObject({ do: z.literal('silence'), rule: z.string().min(1) }),
  /** Functions with this in their name take no messages, as when somebody has disabled their event source mapping. */
  z.strictObject({ do: z.literal('hold-messages'), function: z.string().min(1) }),
  /** Another cluster's etcd takes the place of the member's, on its address and with its certificates. */
  on('usurp'),
  /** Takes back what lasts: of one member, one zone, or all. */
  z.strictObject({ do: z.literal('heal'), member: member.optional(), zone: zone.optional() }),
  /** `heal` of all, and no more faults of calls; `tenant`: only faults of calls that are about it. */
  z.strictObject({ do: z.literal('clear'), tenant: z.string().optional() }),
]);

export type ChaosAction = z.input<typeof chaosActionSchema>;
export type ReadChaosAction = z.output<typeof chaosActionSchema>;

/** Something that goes on until it is healed. */
export interface Hurt {
  readonly what: 'cut' | 'pause' | 'slow' | 'fill-disk' | 'hold-zone' | 'silence' | 'hold-messages' | 'usurp';
  readonly target: string;
  readonly how: string;
  readonly since: string;
}
