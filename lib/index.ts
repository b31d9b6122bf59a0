/** What other CDK apps import: `import { EtcdTenant } from 'etcd-nanny'`. */
export { EtcdTenant, type EtcdTenantProps, type WindowDay } from './constructs/etcd-tenant.ts';
