/** Which function has to look at a tenant. */
export const duties = [
  'create',
  'delete',
  'sweep',
  'scale',
  'patch',
  'remediate',
  'backup',
  'restore',
  'alarms',
] as const;
export type Duty = (typeof duties)[number];
