import path from 'node:path';
import { physicalName } from '../../aws/names.ts';
import type { CloudContext, ResourceProvider, ServiceModule, TemplateResource } from '../../aws/service.ts';
import { Bucket, type BucketSettings } from './bucket.ts';
import { s3Service } from './service.ts';

export interface S3Module extends ServiceModule {
  readonly buckets: ReadonlyMap<string, Bucket>;
}

/** Lifecycle rules are looked at so often. */
const expireEveryMs = 3_600_000;

/** S3, path style, one folder a bucket below `<stateDir>/s3`. */
export function createModule(context: CloudContext): S3Module {
  const buckets = new Map<string, Bucket>();
  const provider: ResourceProvider = {
    types: ['AWS::S3::Bucket'],
    async provision(resource) {
      const settings = bucketSettings(resource, context);
      const known = buckets.get(settings.name);
      if (known !== undefined) known.settings = settings;
      else buckets.set(settings.name, new Bucket(settings, path.join(context.stateDir, 's3', settings.name)));
      buckets.get(settings.name)?.expire();
      const domain = `${settings.name}.s3.amazonaws.com`;
      return {
        ref: settings.name,
        attributes: {
          Arn: `arn:aws:s3:::${settings.name}`,
          DomainName: domain,
          RegionalDomainName: `${settings.name}.s3.${context.region}.amazonaws.com`,
        },
      };
    },
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    services: [s3Service(buckets, context)],
    providers: [provider],
    buckets,
    async start() {
      timer = setInterval(() => {
        for (const bucket of buckets.values()) bucket.expire();
      }, expireEveryMs).unref();
    },
    async stop() {
      clearInterval(timer);
    },
  };
}

function bucketSettings(
  resource: TemplateResource,
  context: Pick<CloudContext, 'accountId' | 'region'>,
): BucketSettings {
  const { properties } = resource;
  const rule = properties.BucketEncryption?.ServerSideEncryptionConfiguration?.[0];
  const { SSEAlgorithm, KMSMasterKeyID } = rule?.ServerSideEncryptionByDefault ?? {};
  const keyId =
    SSEAlgorithm === 'aws:kms' && KMSMasterKeyID !== undefined ? String(KMSMasterKeyID) : undefined;
  const keyArn = keyId?.startsWith('arn:')
    ? keyId
    : `arn:aws:kms:${context.region}:${context.accountId}:key/${keyId}`;
  return {
    // Bucket names are global at AWS and lower case everywhere.
    name: String(properties.BucketName ?? physicalName(resource, 63).toLowerCase()),
    ...lifecycle(properties.LifecycleConfiguration?.Rules ?? []),
    ...(properties.ObjectLockConfiguration?.Rule?.DefaultRetention?.Days === undefined
      ? {}
      : { lockDays: Number(properties.ObjectLockConfiguration.Rule.DefaultRetention.Days) }),
    versioned: properties.VersioningConfiguration?.Status === 'Enabled',
    ...(keyId === undefined ? {} : { kmsKeyArn: keyArn }),
  };
}

interface LifecycleRule {
  readonly Status?: string;
  readonly NoncurrentVersionExpiration?: { readonly NoncurrentDays: number };
  readonly AbortIncompleteMultipartUpload?: { readonly DaysAfterInitiation: number };
}

/** Of whole buckets: rules with a filter are not known here. */
function lifecycle(rules: readonly LifecycleRule[]): Partial<BucketSettings> {
  const enabled = rules.filter(({ Status }) => Status === 'Enabled');
  const formerDays = enabled.find((rule) => rule.NoncurrentVersionExpiration)?.NoncurrentVersionExpiration
    ?.NoncurrentDays;
  const staleUploadDays = enabled.find((rule) => rule.AbortIncompleteMultipartUpload)
    ?.AbortIncompleteMultipartUpload?.DaysAfterInitiation;
  return {
    ...(formerDays === undefined ? {} : { formerDays }),
    ...(staleUploadDays === undefined ? {} : { staleUploadDays }),
  };
}
