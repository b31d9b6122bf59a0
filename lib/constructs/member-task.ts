import { CfnDeletionPolicy, Duration } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { sizeClasses } from '../../lambdas/core/model/spec.ts';
import { acknowledge } from '../acknowledge.ts';
import { healthCheckScript } from '../health-check.ts';
import { ports } from '../ports.ts';
import type { TaskRoles } from './task-roles.ts';

/** Names that RunTask's overrides and volume configurations refer to. */
export const memberContainerName = 'member';
export const memberVolumeName = 'etcd-data';
/** Mount path of the volume: NANNY_DATA_DIR. */
export const memberDataDir = '/var/lib/etcd';
/** User and group of the image's nanny and etcd. ECS makes EBS volumes writable for it, by group. */
export const memberUser = '10001:10001';

export interface MemberTaskProps {
  /** `ebs`: one managed volume that each RunTask configures. `ephemeral`: the task's own disk. */
  readonly volume: 'ebs' | 'ephemeral';
  readonly image: ecs.ContainerImage;
  readonly logGroup: logs.ILogGroup;
  readonly roles: TaskRoles;
  readonly joinUrl: string;
}

/** Task definition of a member. Size, disk and identity come with each RunTask, so one per kind of disk is enough. */
export class MemberTask extends Construct {
  readonly definition: ecs.FargateTaskDefinition;
  /** What members of this definition run. */
  readonly imageUri: string;

  constructor(scope: Construct, id: string, props: MemberTaskProps) {
    super(scope, id);
    this.definition = new ecs.FargateTaskDefinition(this, 'Definition', {
      cpu: sizeClasses.small.cpu,
      memoryLimitMiB: sizeClasses.small.memory,
      runtimePlatform: {
        cpuArchitecture: ecs.CpuArchitecture.ARM64,
        operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
      },
      taskRole: props.roles.task,
      executionRole: props.roles.execution,
      volumes: [{ name: memberVolumeName, ...(props.volume === 'ebs' ? { configuredAtLaunch: true } : {}) }],
    });
    const linuxParameters = new ecs.LinuxParameters(this, 'Linux', { initProcessEnabled: true });
    linuxParameters.dropCapabilities(ecs.Capability.ALL);
    const container = this.definition.addContainer(memberContainerName, {
      image: props.image,
      essential: true,
      user: memberUser,
      readonlyRootFilesystem: true,
      linuxParameters,
      environment: { NANNY_JOIN_URL: props.joinUrl, NANNY_DATA_DIR: memberDataDir },
      portMappings: Object.values(ports).map((containerPort) => ({ containerPort })),
      logging: ecs.LogDrivers.awsLogs({
        logGroup: props.logGroup,
        streamPrefix: props.volume,
        mode: ecs.AwsLogDriverMode.NON_BLOCKING,
      }),
      // A nanny that crashes comes back in the same task, on the same disk, as the same member.
      // Exit code 0 means that it left on purpose: never start that member again.
      enableRestartPolicy: true,
      restartAttemptPeriod: Duration.seconds(60),
      restartIgnoredExitCodes: [0],
      // Time to hand leadership over and stop etcd cleanly. Fargate's maximum.
      stopTimeout: Duration.seconds(120),
      healthCheck: {
        // ECS only reports the answer (healthStatus); the control plane decides what to do.
        command: ['CMD', 'node', '-e', healthCheckScript(ports.admin)],
        interval: Duration.seconds(60),
        timeout: Duration.seconds(10),
        retries: 3,
        startPeriod: Duration.seconds(60),
      },
    });
    this.imageUri = container.imageName;
    container.addMountPoints({
      sourceVolume: memberVolumeName,
      containerPath: memberDataDir,
      readOnly: false,
    });
    // While a deploy goes on, functions may still start the revision before: it has to stay ACTIVE.
    (this.definition.node.defaultChild as ecs.CfnTaskDefinition).cfnOptions.updateReplacePolicy =
      CfnDeletionPolicy.RETAIN;
    acknowledge(
      this.definition,
      'Only replacement has to keep the old revision; with the stack it may go.',
      'CloudFormation-Validate::W3011',
    );
    acknowledge(
      this.definition,
      'The variables are an address and a path; secrets are never in the environment: keys are made inside the task.',
      'AwsSolutions-ECS2',
    );
  }

  get family(): string {
    return this.definition.family;
  }
}
