import path from 'node:path';
import { physicalName } from '../../aws/names.ts';
import type { CloudContext, ResourceProvider, ServiceModule, TemplateResource } from '../../aws/service.ts';
import { Bucket, type BucketSettings } from './bucket.ts';
import { s3Service } from './service.ts';

/** S3, path style, one folder a bucket below `<stateDir>/s3`. */
export function createModule(context: CloudContext): ServiceModule {
  const buckets = new Map<string, Bucket>();
  const provider: ResourceProvider = {
    types: ['AWS::S3::Bucket'],
    async provision(resource) {
      const settings = bucketSettings(resource, context);
      const known = buckets.get(settings.name);
      if (known !== undefined) known.settings = settings;
      else buckets.set(settings.name, new Bucket(settings, path.join(context.stateDir, 's3', settings.name)));
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
  return { services: [s3Service(buckets, context)], providers: [provider] };
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
    versioned: properties.VersioningConfiguration?.Status === 'Enabled',
    ...(keyId === undefined ? {} : { kmsKeyArn: keyArn }),
  };
}
