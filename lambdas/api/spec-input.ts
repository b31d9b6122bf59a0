import * as z from 'zod';
import { type FieldProblem, InvalidRequestError } from '../core/errors.ts';
import { type TenantSpec, tenantSpecSchema } from '../core/model/spec.ts';
import { problemsOf } from './issues.ts';
import { chooseVersion, type VersionCatalog } from './versions.ts';

/** A spec as callers send it: every field may be left out, the version may be a minor, null takes a window away. */
export const specInputSchema = tenantSpecSchema
  .extend({
    version: z.string().max(32),
    // Without the defaults of old records: what is left out asks for nothing.
    recovery: tenantSpecSchema.shape.recovery.unwrap(),
    quorumLossConfirmSeconds: tenantSpecSchema.shape.quorumLossConfirmSeconds.unwrap(),
    unreachableSeconds: tenantSpecSchema.shape.unreachableSeconds.unwrap(),
    zoneOutageHoldMinutes: tenantSpecSchema.shape.zoneOutageHoldMinutes.unwrap(),
    backup: tenantSpecSchema.shape.backup.unwrap().partial(),
    maintenanceWindow: tenantSpecSchema.shape.maintenanceWindow.unwrap().nullable(),
    autoscale: tenantSpecSchema.shape.autoscale.unwrap().nullable(),
  })
  .partial();

export type SpecInput = z.infer<typeof specInputSchema>;

/** What a new tenant gets where its spec says nothing; the version comes from the deployment. */
export const specDefaults = {
  members: 3,
  size: 'small',
  volume: 'ebs',
  storageGiB: { ebs: 10, ephemeral: 21 },
  quotaMiB: 2048,
  autoCompaction: { mode: 'periodic', retentionMinutes: 60 },
  deletionProtection: false,
  recovery: 'auto',
  quorumLossConfirmSeconds: 60,
  unreachableSeconds: 20,
  zoneOutageHoldMinutes: 30,
  backup: { intervalMinutes: 60, pointInTimeHours: 24, drillHours: 24 },
} as const;

/** Fargate's own disk, GiB: 21 is what an override must at least ask for, 200 its maximum. */
const ephemeralGiB = { min: 21, max: 200 } as const;

/** Room for the database, its defragmented copy and the WAL: 2.2 × quota + 0.5 GiB. */
export const diskForQuotaGiB = (quotaMiB: number): number => (2.2 * quotaMiB) / 1024 + 0.5;

function resolve(input: SpecInput, version: string): TenantSpec {
  const volume = input.volume ?? specDefaults.volume;
  return {
    members: input.members ?? specDefaults.members,
    version,
    size: input.size ?? specDefaults.size,
    storageGiB: input.storageGiB ?? specDefaults.storageGiB[volume],
    volume,
    quotaMiB: input.quotaMiB ?? specDefaults.quotaMiB,
    autoCompaction: input.autoCompaction ?? specDefaults.autoCompaction,
    deletionProtection: input.deletionProtection ?? specDefaults.deletionProtection,
    recovery: input.recovery ?? specDefaults.recovery,
    quorumLossConfirmSeconds: input.quorumLossConfirmSeconds ?? specDefaults.quorumLossConfirmSeconds,
    unreachableSeconds: input.unreachableSeconds ?? specDefaults.unreachableSeconds,
    zoneOutageHoldMinutes: input.zoneOutageHoldMinutes ?? specDefaults.zoneOutageHoldMinutes,
    backup: { ...specDefaults.backup, ...input.backup },
    ...(input.maintenanceWindow && { maintenanceWindow: input.maintenanceWindow }),
    ...(input.autoscale && { autoscale: input.autoscale }),
  };
}

/** Rules over more than one field; for the whole spec, after what was sent has been put into it. */
export function crossProblems(spec: TenantSpec): FieldProblem[] {
  if (spec.volume === 'ephemeral' && spec.storageGiB < ephemeralGiB.min) {
    const { min, max } = ephemeralGiB;
    return [{ field: 'spec.storageGiB', message: `must be from ${min} to ${max} when volume is ephemeral` }];
  }
  const needed = diskForQuotaGiB(spec.quotaMiB);
  if (spec.storageGiB >= needed) return [];
  const message =
    `is too small for a quota of ${spec.quotaMiB} MiB: it needs 2.2 × quota + 0.5 GiB = ${needed.toFixed(1)} GiB; ` +
    `set storageGiB to ${Math.ceil(needed)} or more, or lower quotaMiB`;
  return [{ field: 'spec.storageGiB', message }];
}

/** The fields that are good on their own: cross checks are made even when other fields are bad. */
function goodFields(raw: unknown): SpecInput {
  if (typeof raw !== 'object' || raw === null) return {};
  const good = Object.entries(specInputSchema.shape).flatMap(([name, schema]) => {
    const parsed = schema.safeParse((raw as Record<string, unknown>)[name]);
    return parsed.success && parsed.data !== undefined ? [[name, parsed.data]] : [];
  });
  return Object.fromEntries(good) as SpecInput;
}

export interface ReadSpec {
  /** As sent, good fields only. */
  readonly input: SpecInput;
  /** The same with the exact version that a minor stands for. */
  readonly resolved: SpecInput;
  /** With defaults; only to be used when there are no problems. */
  readonly spec: TenantSpec;
  readonly problems: readonly FieldProblem[];
}

/** Reads a spec for a new tenant and finds everything that is wrong with it. */
export function readSpec(raw: unknown, catalog: VersionCatalog): ReadSpec {
  const parsed = specInputSchema.safeParse(raw ?? {});
  const problems = parsed.success ? [] : problemsOf(parsed.error, 'spec');
  const input = goodFields(raw);
  const version = chooseVersion(catalog, input.version);
  if (!version.ok) problems.push({ field: 'spec.version', message: version.message });
  const spec = resolve(input, version.ok ? version.version : catalog.default);
  const resolved = version.ok && input.version !== undefined ? { ...input, version: version.version } : input;
  const bad = new Set(problems.map((problem) => problem.field));
  const crossable = !['spec.storageGiB', 'spec.volume', 'spec.quotaMiB'].some((field) => bad.has(field));
  // What else the spec of an existing tenant says is not known here: only what the request itself says counts.
  const saysAll = input.storageGiB !== undefined && (input.quotaMiB ?? input.volume) !== undefined;
  if (crossable && saysAll) problems.push(...crossProblems(spec));
  return { input, resolved, spec, problems };
}

/** @throws InvalidRequestError when fields that are good alone do not go together */
export function requireFitting(spec: TenantSpec): TenantSpec {
  const problems = crossProblems(spec);
  if (problems.length === 0) return spec;
  const all = problems.map(({ field, message }) => `${field} ${message}`);
  throw new InvalidRequestError(`The fields of this spec do not go together: ${all.join('; ')}.`, problems);
}

/** The spec of an existing tenant with the named fields as they were sent. */
export function withFields(
  current: TenantSpec,
  { resolved }: Pick<ReadSpec, 'resolved'>,
  names: readonly (keyof TenantSpec)[],
): TenantSpec {
  const wanted = Object.fromEntries(
    names.map((name) => [
      name,
      name === 'backup' ? { ...current.backup, ...resolved.backup } : resolved[name],
    ]),
  ) as Partial<TenantSpec>;
  const { maintenanceWindow, autoscale, ...spec } = { ...current, ...wanted };
  return { ...spec, ...(maintenanceWindow && { maintenanceWindow }), ...(autoscale && { autoscale }) };
}

/**
 * Which fields of `input` ask for something else than the tenant has. What is left out asks for nothing, so that a
 * repeated request stays the same request after defaults have moved on; a minor is met by any of its patches.
 */
export function changedFields(input: SpecInput, current: TenantSpec): (keyof TenantSpec)[] {
  return (Object.keys(input) as (keyof TenantSpec)[]).filter((name) => {
    if (input[name] === undefined) return false;
    if (name === 'version') {
      return current.version !== input.version && !current.version.startsWith(`${input.version}.`);
    }
    // Of its fields too, what is left out asks for nothing.
    if (name === 'backup') {
      return JSON.stringify({ ...current.backup, ...input.backup }) !== JSON.stringify(current.backup);
    }
    return JSON.stringify(input[name]) !== JSON.stringify(current[name] ?? null);
  });
}
