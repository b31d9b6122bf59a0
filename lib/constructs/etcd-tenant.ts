import { CustomResource, Duration, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { EtcdTenantHandler } from './etcd-tenant-handler.ts';
import { readTenantProps } from './etcd-tenant-props.ts';

/** Days on which a maintenance window opens. */
export type WindowDay = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun';

/** A tenant of an etcd-nanny deployment. What is left out is left to the deployment's defaults. */
export interface EtcdTenantProps {
  /**
   * 2 to 39 characters: a lower-case letter, then lower-case letters, digits or hyphens. One that is changed later makes a
   * new, empty tenant, and then deletes the old one by `removalPolicy`.
   * @default the id of the construct
   */
  readonly tenantName?: string;
  /** @default 3 */
  readonly members?: 1 | 3 | 5;
  /** Exact (`3.6.16`) or a minor (`3.6`), which any of its patches meets. @default the deployment's, kept from then on */
  readonly version?: string;
  /** @default small */
  readonly size?: 'micro' | 'small' | 'medium' | 'large' | 'xlarge';
  /** Disk of each member. @default 10 (volume ebs), 21 (ephemeral) */
  readonly storageGiB?: number;
  /** @default ebs */
  readonly volume?: 'ebs' | 'ephemeral';
  /** etcd's quota-backend-bytes. Needs 2.2 × quota + 0.5 GiB of storage. @default 2048 */
  readonly quotaMiB?: number;
  /** `off` for Kubernetes, which compacts by itself. @default periodic, 60 minutes */
  readonly autoCompaction?:
    | { readonly mode: 'off' }
    | { readonly mode: 'periodic'; readonly retentionMinutes: number }
    | { readonly mode: 'revision'; readonly retentionRevisions: number };
  /** Nothing deletes the tenant, this stack neither, until it is deployed with `false`. @default false */
  readonly deletionProtection?: boolean;
  /** What happens when quorum is lost for good: by itself, or after `nanny approve`. @default auto */
  readonly recovery?: 'auto' | 'approve';
  /** @default 60 */
  readonly quorumLossConfirmSeconds?: number;
  /** @default 20 */
  readonly unreachableSeconds?: number;
  /** @default 30 */
  readonly zoneOutageHoldMinutes?: number;
  readonly backup?: {
    /** Between full backups; changes in between are shipped all the time. @default 60 */
    readonly intervalMinutes?: number;
    /** How far back each revision and each second can be restored. @default 24 */
    readonly pointInTimeHours?: number;
    /** Between real restores that prove the backups. @default 24 */
    readonly drillHours?: number;
  };
  /** When patch and resize may begin, UTC. A deployment does not wait for one that opens later. @default always */
  readonly maintenanceWindow?: {
    readonly days: readonly WindowDay[];
    /** Such as `03:30`. */
    readonly start: string;
    readonly minutes: number;
  };

  /** CN of the client certificate: the etcd user, once the tenant has enabled etcd's authentication. @default root */
  readonly user?: string;
  /** Life of the client certificate, 3 to 365 days. A new one is written into the secret at two thirds of it. @default 90 days */
  readonly credentialsLife?: Duration;
  /** Encrypts the secret. @default the account's key for Secrets Manager */
  readonly encryptionKey?: kms.IKey;

  /**
   * What becomes of the tenant when it leaves the stack. SNAPSHOT: deleted after a final backup, which stays for 35 days.
   * DESTROY: deleted. RETAIN: goes on (and costs) without a stack.
   * @default RemovalPolicy.SNAPSHOT
   */
  readonly removalPolicy?: RemovalPolicy.SNAPSHOT | RemovalPolicy.DESTROY | RemovalPolicy.RETAIN;
  /** Take a tenant over that is there already and was not made by this stack. @default false: that fails */
  readonly adopt?: boolean;
  /** How long one deployment waits for the tenant, up to 55 minutes. @default 50 minutes */
  readonly timeout?: Duration;

  /** Name of the etcd-nanny deployment in this account and Region. @default etcd-nanny */
  readonly deploymentName?: string;
  /** Base URL of its API, where the stack `<deploymentName>-control-plane` cannot be referred to. @default its output ApiUrl */
  readonly apiUrl?: string;
}

/**
 * A dedicated etcd cluster, created, changed and deleted with the stack, and a secret with all that a client needs:
 * JSON fields certificate, privateKey, caBundle, endpoints, dnsEndpoint, user, notAfter.
 */
export class EtcdTenant extends Construct {
  /** Name of the tenant. Whoever refers to it waits until it is available; so with all that follows. */
  readonly tenantName: string;
  /** `https://<dnsName>:2379`: one URL for all members, whichever they are. Resolves inside the cell's VPC. */
  readonly dnsEndpoint: string;
  /** Client URLs of the members at the last deployment, with commas. Members come and go: prefer `dnsEndpoint`. */
  readonly endpoints: string;
  readonly dnsName: string;
  readonly clusterId: string;
  /** Credentials and endpoints of a client, renewed in time. */
  readonly secret: secretsmanager.ISecret;
  readonly resource: CustomResource;

  /** @throws Error that lists all that is wrong with the properties */
  constructor(scope: Construct, id: string, props: EtcdTenantProps = {}) {
    super(scope, id);
    const { tenantName, spec, user, credentialsDays, timeoutMinutes, removalPolicy } = readTenantProps(
      this,
      id,
      props,
    );
    const apiUrl =
      props.apiUrl ??
      Fn.getStackOutput(
        `${props.deploymentName ?? 'etcd-nanny'}-control-plane`,
        'ApiUrl',
        Stack.of(this).region,
      );
    const handler = EtcdTenantHandler.of(this, apiUrl);

    // Another name or deployment is another tenant: by logical ids of its own CloudFormation makes the new one whole before
    // it deletes the old one, and the function may still do that.
    const own = new Construct(this, `${tenantName}-${handler.apiKey}`);
    const secret = new secretsmanager.Secret(own, 'Credentials', {
      description: `etcd-nanny: client credentials of tenant ${tenantName}`,
      ...(props.encryptionKey ? { encryptionKey: props.encryptionKey } : {}),
      removalPolicy: removalPolicy === RemovalPolicy.RETAIN ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    acknowledge(
      secret,
      'The function of the construct renews the certificate in it daily when two thirds of its life are over: there is ' +
        'nothing on a server that a rotation would have to change as well.',
      'AwsSolutions-SMG4',
    );
    const credentials = {
      TenantId: tenantName,
      SecretArn: secret.secretArn,
      User: user,
      CredentialsDays: credentialsDays,
    };
    const access = handler.serve(own, {
      tenantName,
      secretArn: secret.secretArn,
      encryptionKeyArn: props.encryptionKey?.keyArn,
      renewal: { Renew: credentials },
    });

    this.resource = new CustomResource(own, 'Resource', {
      resourceType: 'Custom::EtcdTenant',
      serviceToken: handler.serviceToken,
      removalPolicy: removalPolicy === RemovalPolicy.RETAIN ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      // CloudFormation gives up an hour after its request; the function answers before, with its reason.
      serviceTimeout: Duration.minutes(Math.min(timeoutMinutes + 5, 60)),
      properties: {
        ...credentials,
        Spec: spec,
        Adopt: props.adopt ?? false,
        FinalBackup: removalPolicy === RemovalPolicy.SNAPSHOT,
        TimeoutMinutes: timeoutMinutes,
      },
    });
    this.resource.node.addDependency(handler.permissions, access);

    this.tenantName = this.resource.ref;
    this.dnsEndpoint = this.resource.getAttString('DnsEndpoint');
    this.endpoints = this.resource.getAttString('Endpoints');
    this.dnsName = this.resource.getAttString('DnsName');
    this.clusterId = this.resource.getAttString('ClusterId');
    // By the tenant's own attribute: whoever reads the secret waits until there are credentials in it.
    this.secret = secretsmanager.Secret.fromSecretAttributes(own, 'Secret', {
      secretCompleteArn: this.resource.getAttString('SecretArn'),
      ...(props.encryptionKey ? { encryptionKey: props.encryptionKey } : {}),
    });
  }

  /** May read the secret. To reach the cluster it also needs a way into the cell's VPC (docs/tenants-as-code.md). */
  grantRead(grantee: iam.IGrantable): iam.Grant {
    return this.secret.grantRead(grantee);
  }
}
