/** Tags of tasks, of their volumes, and of copies of these. Policies are bound to them too. */
export const tenantTag = 'etcd-nanny:tenant';
export const memberTag = 'etcd-nanny:member';
export const cellTag = 'etcd-nanny:cell';
/** Of a copy of a disk: what it was made for. */
export const purposeTag = 'etcd-nanny:purpose';
