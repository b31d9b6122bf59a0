import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { DescribeTasksCommand, ECSClient, RunTaskCommand } from '@aws-sdk/client-ecs';
import type { MemberDocument } from '../../../lambdas/core/tenant-document.ts';
import type { TestCloud } from './cloud.ts';
import { type ProcessSeen, processesOf } from './processes.ts';

/** A member as somebody could bring it back who kept all there was of it: its processes and a copy of its disk. */
export interface KeptMember {
  readonly member: MemberDocument;
  readonly nanny: ProcessSeen;
  readonly etcd: ProcessSeen;
  /** The member's disk as it was at one moment. */
  readonly disk: string;
}

/** Copies a member's disk while its processes stand still; they go on afterwards unless `stay`. */
export function keepMember(
  { stateDir }: TestCloud,
  member: MemberDocument,
  folder: string,
  { stay = false } = {},
): KeptMember {
  const { nanny, etcd } = processesOf(stateDir, member.name);
  process.kill(-nanny.group, 'SIGSTOP');
  const disk = join(folder, member.name);
  cpSync(nanny.environment.NANNY_DATA_DIR!, disk, { recursive: true, verbatimSymlinks: true });
  if (!stay) process.kill(-nanny.group, 'SIGCONT');
  return { member, nanny, etcd, disk };
}

export interface ByHand {
  output(): string;
  readonly exitCode: Promise<number | null>;
  stop(): Promise<void>;
}

/** The old etcd, its command line as it was, on the kept disk. */
export const startEtcdAgain = ({ nanny, etcd, disk }: KeptMember): ByHand =>
  start(etcd.command.map((word) => word.replaceAll(nanny.environment.NANNY_DATA_DIR!, disk)));

/** The old nanny, its environment as it was, on the kept disk. */
export const startNannyAgain = ({ nanny, disk }: KeptMember): ByHand =>
  start(nanny.command, { ...nanny.environment, NANNY_DATA_DIR: disk });

/** Another task by the old one's settings, and by its name unless `as` is another one. @returns its ARN */
export async function runTaskAgain(
  cloud: TestCloud,
  { member }: Pick<KeptMember, 'member'>,
  as: string = member.name,
): Promise<string> {
  const { url, region, credentials, registry } = cloud.cloud;
  const ecs = new ECSClient({ endpoint: url, region, credentials });
  const cluster = registry.resourcesOfType('AWS::ECS::Cluster')[0]!.ref;
  try {
    const found = await ecs.send(
      new DescribeTasksCommand({ cluster, tasks: [member.taskArn!], include: ['TAGS'] }),
    );
    const old = found.tasks![0]!;
    const subnet = old.attachments
      ?.find(({ type }) => type === 'ElasticNetworkInterface')
      ?.details?.find(({ name }) => name === 'subnetId')?.value;
    const renamed = <T extends { value?: string | undefined }>(all: readonly T[] = []): T[] =>
      all.map((each) => (each.value === member.name ? { ...each, value: as } : each));
    const answer = await ecs.send(
      new RunTaskCommand({
        cluster,
        launchType: 'FARGATE',
        taskDefinition: old.taskDefinitionArn!,
        networkConfiguration: { awsvpcConfiguration: { subnets: [subnet!] } },
        startedBy: old.startedBy!,
        tags: renamed(old.tags),
        overrides: {
          containerOverrides: old.overrides!.containerOverrides!.map((container) => ({
            ...container,
            environment: renamed(container.environment),
          })),
        },
      }),
    );
    const [task] = answer.tasks ?? [];
    if (task === undefined) throw new Error(`RunTask: ${JSON.stringify(answer.failures)}`);
    return task.taskArn!;
  } finally {
    ecs.destroy();
  }
}

function start([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): ByHand {
  const child: ChildProcess = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const exitCode = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  return {
    output: () => output,
    exitCode,
    async stop() {
      child.kill('SIGKILL');
      await exitCode;
    },
  };
}
