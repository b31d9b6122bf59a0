import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BusEvent, CloudContext } from './aws/service.ts';
import { inBlock } from './cloudformation/network.ts';
import type { ResourceRegistry } from './cloudformation/registry.ts';
import type { Endpoint } from './endpoint.ts';
import type { CredentialStore } from './iam/credentials.ts';
import type { Iam } from './iam/iam.ts';
import type { Usage } from './iam/usage.ts';

export interface ContextParts {
  readonly accountId: string;
  readonly region: string;
  readonly stateDir: string;
  readonly endpointUrl: string;
  readonly registry: ResourceRegistry;
  readonly iam: Iam;
  readonly credentials: CredentialStore;
  readonly endpoint: Endpoint;
  readonly emit: (event: BusEvent) => void;
  readonly log: CloudContext['log'];
}

/** As long as a task's credentials last on AWS. */
const taskCredentialSeconds = 6 * 3600;

export function createContext(parts: ContextParts): CloudContext {
  const { accountId, region, stateDir, endpointUrl, registry, iam, credentials } = parts;
  return {
    accountId,
    region,
    stateDir,
    endpointUrl,
    registry,
    log: parts.log,
    emit: parts.emit,
    assumeRole(roleArn, sessionName, servicePrincipal = 'ecs-tasks.amazonaws.com') {
      iam.requireTrust(roleArn, servicePrincipal);
      return credentials.issue(roleArn, sessionName, taskCredentialSeconds);
    },
    authorize(who, authorization) {
      if (typeof who !== 'string') return iam.require(who, authorization);
      const roleArn = who;
      const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1);
      const principalArn = `arn:aws:sts::${accountId}:assumed-role/${roleName}/service`;
      iam.require(
        { accessKeyId: '', accountId, principalArn, roleArn, sessionName: 'service' },
        authorization,
      );
    },
    rewriteHosts: (text) =>
      text.replace(
        /https:\/\/([a-z0-9]{10})\.execute-api\.[a-z0-9-]+\.amazonaws\.com/g,
        `${endpointUrl}/_api/$1`,
      ),
    mount: (prefix, handler) => parts.endpoint.mount(prefix, handler),
  };
}

/** `<state>/logs/cloud.log`, one JSON document a line. */
export function fileLog(stateDir: string): CloudContext['log'] {
  const directory = join(stateDir, 'logs');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'cloud.log');
  return (message, fields) =>
    appendFileSync(file, `${JSON.stringify({ time: new Date().toISOString(), message, ...fields })}\n`);
}

/** `<state>/iam-usage.jsonl`: each (principal, action, resource) that was allowed, once a start. */
export function usageLog(stateDir: string): (usage: Usage) => void {
  const file = join(stateDir, 'iam-usage.jsonl');
  return ({ principal, action, resource }) =>
    appendFileSync(file, `${JSON.stringify({ principal, action, resource })}\n`);
}

/** The VPC of the templates that an address lies in, and its interface endpoint of one service. */
export function vpcOf(
  registry: ResourceRegistry,
  address: string,
  service: string,
): { vpcId: string; vpcEndpointId?: string } | undefined {
  const vpc = registry
    .resourcesOfType('AWS::EC2::VPC')
    .find(({ properties }) => inBlock(address, properties.CidrBlock));
  if (!vpc) return undefined;
  const endpoint = registry
    .resourcesOfType('AWS::EC2::VPCEndpoint')
    .find(({ properties }) => properties.VpcId === vpc.ref && properties.ServiceName.endsWith(`.${service}`));
  return { vpcId: vpc.ref, ...(endpoint ? { vpcEndpointId: endpoint.ref } : {}) };
}

/** Condition keys that tell where a call comes from. Through an interface endpoint there is no public address. */
export function networkContext(
  registry: ResourceRegistry,
  address: string,
  service: string,
): Readonly<Record<string, string>> {
  const vpc = vpcOf(registry, address, service);
  if (!vpc?.vpcEndpointId) return { 'aws:SourceIp': address };
  return { 'aws:SourceVpc': vpc.vpcId, 'aws:SourceVpce': vpc.vpcEndpointId, 'aws:VpcSourceIp': address };
}
