import { CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { EtcdTenant } from 'etcd-nanny';

const files = '/etc/kubernetes/pki';

/** kube-apiserver on Fargate. Its etcd comes up before it, changes with this stack and goes with it. */
export class ApiServerStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const etcd = new EtcdTenant(this, 'kubernetes', {
      members: 3,
      version: '3.6',
      size: 'small',
      // Kubernetes compacts by itself.
      autoCompaction: { mode: 'off' },
      quotaMiB: 2048,
      backup: { intervalMinutes: 30, pointInTimeHours: 24 },
      maintenanceWindow: { days: ['sat', 'sun'], start: '03:00', minutes: 120 },
      user: 'kube-apiserver',
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });

    // Signs service account tokens; made by hand once (README.md).
    const serviceAccountKey = secretsmanager.Secret.fromSecretNameV2(
      this,
      'ServiceAccountKey',
      'kubernetes/service-account-key',
    );

    // Inside a block that the deployment lets in (its setting clientCidrs), and peered with the VPC of its cell.
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr('10.9.0.0/16'),
      maxAzs: 3,
      natGateways: 1,
    });
    const task = new ecs.FargateTaskDefinition(this, 'Task', {
      cpu: 512,
      memoryLimitMiB: 1024,
      runtimePlatform: {
        cpuArchitecture: ecs.CpuArchitecture.ARM64,
        operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
      },
      volumes: [{ name: 'pki' }],
    });
    const logging = ecs.LogDrivers.awsLogs({
      streamPrefix: 'api-server',
      logGroup: new logs.LogGroup(this, 'Logs', {
        retention: logs.RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
    });

    // kube-apiserver reads files, ECS gives secrets to containers as variables: this one writes them down and ends.
    const pki = task.addContainer('pki', {
      image: ecs.ContainerImage.fromRegistry('public.ecr.aws/docker/library/busybox:1.37'),
      essential: false,
      logging,
      secrets: {
        CA: ecs.Secret.fromSecretsManager(etcd.secret, 'caBundle'),
        CERTIFICATE: ecs.Secret.fromSecretsManager(etcd.secret, 'certificate'),
        KEY: ecs.Secret.fromSecretsManager(etcd.secret, 'privateKey'),
        SERVICE_ACCOUNT_KEY: ecs.Secret.fromSecretsManager(serviceAccountKey),
      },
      command: [
        'sh',
        '-ec',
        [
          'umask 077',
          `printf '%s' "$CA" > ${files}/etcd-ca.pem`,
          `printf '%s' "$CERTIFICATE" > ${files}/etcd.pem`,
          `printf '%s' "$KEY" > ${files}/etcd-key.pem`,
          `printf '%s' "$SERVICE_ACCOUNT_KEY" > ${files}/service-account.pem`,
        ].join('\n'),
      ],
    });
    pki.addMountPoints({ sourceVolume: 'pki', containerPath: files, readOnly: false });

    const server = task.addContainer('kube-apiserver', {
      image: ecs.ContainerImage.fromRegistry('registry.k8s.io/kube-apiserver:v1.34.1'),
      logging,
      portMappings: [{ containerPort: 6443 }],
      command: [
        'kube-apiserver',
        `--etcd-servers=${etcd.dnsEndpoint}`,
        `--etcd-cafile=${files}/etcd-ca.pem`,
        `--etcd-certfile=${files}/etcd.pem`,
        `--etcd-keyfile=${files}/etcd-key.pem`,
        `--service-account-key-file=${files}/service-account.pem`,
        `--service-account-signing-key-file=${files}/service-account.pem`,
        '--service-account-issuer=https://kubernetes.default.svc',
        '--service-cluster-ip-range=10.96.0.0/16',
        '--authorization-mode=Node,RBAC',
        '--secure-port=6443',
        '--cert-dir=/tmp/pki',
      ],
    });
    server.addMountPoints({ sourceVolume: 'pki', containerPath: files, readOnly: true });
    server.addContainerDependencies({ container: pki, condition: ecs.ContainerDependencyCondition.SUCCESS });

    new ecs.FargateService(this, 'Service', {
      cluster: new ecs.Cluster(this, 'Cluster', { vpc }),
      taskDefinition: task,
      desiredCount: 2,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
    });

    new CfnOutput(this, 'EtcdEndpoint', { value: etcd.dnsEndpoint });
    new CfnOutput(this, 'EtcdCredentials', { value: etcd.secret.secretArn });
  }
}
