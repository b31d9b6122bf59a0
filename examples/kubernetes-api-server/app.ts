import { App } from 'aws-cdk-lib';
import { ApiServerStack } from './api-server-stack.ts';

const app = new App();
new ApiServerStack(app, 'kubernetes-api-server', {
  description: 'A Kubernetes API server with an etcd of its own, from etcd-nanny',
});
