import { readFileSync } from 'node:fs';
import path from 'node:path';
import { IgnoreMode, Stack } from 'aws-cdk-lib';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as ecrAssets from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';

const projectRoot = path.resolve(import.meta.dirname, '../..');

const ecrUri =
  /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([^:@]+)(?::([^@]+)|@(sha256:[0-9a-f]{64}))?$/;

/**
 * The image of the members. Synth only fingerprints the folder; Docker is needed when the image is published at deploy.
 * An ECR reference becomes an imported repository, so that the execution role may pull from it and from no other.
 */
export function nodeImage(scope: Construct, uri: string | undefined): ecs.ContainerImage {
  if (uri === undefined) return builtImage(scope);
  const match = ecrUri.exec(uri);
  if (match === null) return ecs.ContainerImage.fromRegistry(uri);
  const [, account, region, repositoryName, tag, digest] = match;
  const repositoryArn = Stack.of(scope).formatArn({
    service: 'ecr',
    account,
    region,
    resource: 'repository',
    resourceName: repositoryName,
  });
  const repository = ecr.Repository.fromRepositoryAttributes(scope, 'NodeImageRepository', {
    repositoryArn,
    repositoryName: repositoryName as string,
  });
  return ecs.ContainerImage.fromEcrRepository(repository, digest ?? tag ?? 'latest');
}

/** Built from the sources in the image's own .dockerignore list: only they decide whether a deploy makes a new image. */
function builtImage(scope: Construct): ecs.ContainerImage {
  const file = 'node-image/Dockerfile';
  const exclude = readFileSync(path.join(projectRoot, `${file}.dockerignore`), 'utf8')
    .trim()
    .split('\n');
  const asset = new ecrAssets.DockerImageAsset(scope, 'NodeImage', {
    directory: projectRoot,
    file,
    exclude,
    ignoreMode: IgnoreMode.DOCKER,
    platform: ecrAssets.Platform.LINUX_ARM64,
  });
  return ecs.ContainerImage.fromDockerImageAsset(asset);
}
