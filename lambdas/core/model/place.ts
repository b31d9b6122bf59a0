import * as z from 'zod';
import { isoTimeSchema, tenantIdSchema } from './names.ts';

/** What a tenant takes of its cell. */
export const tenantPlaceSchema = z.strictObject({
  /** Wanted, not running: a replacement under way is one more for a while. */
  members: z.int().min(0),
  /** When it was taken: a place that no record owns is given back some time after. */
  at: isoTimeSchema,
});
export type TenantPlace = z.infer<typeof tenantPlaceSchema>;

/** Who lives in a cell, by tenant. */
export const placesSchema = z.record(tenantIdSchema, tenantPlaceSchema);
export type Places = Readonly<Record<string, TenantPlace>>;

export interface CellLoad {
  readonly tenants: number;
  readonly members: number;
}

export const loadOf = (places: Places): CellLoad => ({
  tenants: Object.keys(places).length,
  members: Object.values(places).reduce((sum, { members }) => sum + members, 0),
});
