import { beforeAll, describe, expect, it } from 'vitest';
import { flat, type Json, lastingContext, localContext, type Synthesized, synthesize } from '../synth.ts';

let app: Synthesized;
let definitions: Json[];
beforeAll(async () => {
  app = await synthesize(localContext);
  definitions = app.of('AWS::ECS::TaskDefinition').map(({ Properties }) => Properties);
});

describe('task definitions of members', () => {
  it('are two: one whose volume each launch configures, one on the disk of the task', () => {
    expect(definitions.map((definition) => definition.Volumes)).toEqual([
      [{ Name: 'etcd-data', ConfiguredAtLaunch: true }],
      [{ Name: 'etcd-data' }],
    ]);
    for (const definition of definitions)
      expect(definition).toMatchObject({
        NetworkMode: 'awsvpc',
        RequiresCompatibilities: ['FARGATE'],
        RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
      });
  });

  it('run without root, without capabilities, on a read-only root with one writable volume', () => {
    for (const { ContainerDefinitions } of definitions) {
      expect(ContainerDefinitions).toHaveLength(1);
      expect(ContainerDefinitions[0]).toMatchObject({
        Name: 'member',
        User: '10001:10001',
        ReadonlyRootFilesystem: true,
        LinuxParameters: { Capabilities: { Drop: ['ALL'] } },
        MountPoints: [{ ContainerPath: '/var/lib/etcd', SourceVolume: 'etcd-data', ReadOnly: false }],
      });
    }
  });

  it('bring a crashed nanny back, but never one that left on purpose', () => {
    for (const { ContainerDefinitions } of definitions)
      expect(ContainerDefinitions[0].RestartPolicy).toEqual({
        Enabled: true,
        IgnoredExitCodes: [0],
        RestartAttemptPeriod: 60,
      });
  });

  it('give a member two minutes to hand leadership over and stop', () => {
    for (const { ContainerDefinitions } of definitions) expect(ContainerDefinitions[0].StopTimeout).toBe(120);
  });

  it('tell the nanny where to join and where its disk is, and no secret', () => {
    for (const { ContainerDefinitions } of definitions) {
      expect(ContainerDefinitions[0].Secrets).toBeUndefined();
      expect(flat(ContainerDefinitions[0].Environment)).toEqual([
        {
          Name: 'NANNY_JOIN_URL',
          Value: expect.stringMatching(
            /^https:\/\/<JoinApi\w+>\.execute-api\.<AWS::Region>\.<AWS::URLSuffix>\/v1$/,
          ),
        },
        { Name: 'NANNY_DATA_DIR', Value: '/var/lib/etcd' },
      ]);
    }
  });

  it('stay ACTIVE when a new revision replaces them: functions may still start them', () => {
    for (const resource of app.of('AWS::ECS::TaskDefinition'))
      expect(resource.UpdateReplacePolicy).toBe('Retain');
  });

  it('may be pulled from the one repository that an ECR reference names', async () => {
    const other = await synthesize(lastingContext);
    const policy = other
      .of('AWS::IAM::Policy')
      .find(({ Properties }) => Properties.Roles[0].Ref.startsWith('RolesExecution'));
    const pull = flat(policy?.Properties.PolicyDocument.Statement).filter((statement: Json) =>
      [statement.Action].flat().includes('ecr:BatchGetImage'),
    );
    expect(pull.map((statement: Json) => statement.Resource)).toEqual([
      'arn:<AWS::Partition>:ecr:eu-west-1:111122223333:repository/team/nanny',
    ]);
  });

  it('need Docker at deploy only: without nodeImageUri the synth names what is to be built', async () => {
    const { nodeImageUri: _, ...context } = localContext;
    const own = await synthesize(context);
    expect(own.images.map((image) => image.source)).toEqual([
      { directory: expect.any(String), dockerFile: 'node-image/Dockerfile', platform: 'linux/arm64' },
    ]);
    expect(app.images).toEqual([]);
  });
});
