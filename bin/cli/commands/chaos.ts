import type { Command } from 'commander';
import { type CommonOptions, examples } from '../context.ts';
import { UsageError } from '../errors.ts';
import { relativeTime, table } from '../format.ts';
import { localControl } from '../local/local-target.ts';
import { wholeNumber } from '../values.ts';
import type { Define } from './index.ts';

interface HurtDocument {
  hurts: { what: string; target: string; how: string; since: string }[];
  rules: { id: number; match: Record<string, unknown>; action: { type: string }; struck: number }[];
}

/** Ways to hurt the local cloud. Everywhere else they are refused before anything is sent. */
export function defineChaos(define: Define): void {
  const act = <O extends CommonOptions = CommonOptions>(
    nameAndArguments: string,
    description: string,
    example: string[],
    options: (command: Command) => Command,
    action: (options: O, argument: string | undefined) => Record<string, unknown>,
  ) =>
    define<O>(
      nameAndArguments,
      (command) => options(command.description(description)).addHelpText('after', examples(...example)),
      async (context, given, argument) => {
        const body = action(given, argument);
        const control = await localControl(context.world, given);
        const answer = await control.post<{ told: string }>('chaos', body);
        context.print(answer, () => [answer.told]);
      },
    );
  const plain = (command: Command): Command => command;
  const onMember = (what: string, description: string) =>
    act(`${what} <member>`, description, [`chaos ${what} mk3x9q2ab`], plain, (_, member) => ({
      do: what,
      member,
    }));

  onMember('kill-member', 'kill -9 its etcd; its nanny starts it again');
  onMember('kill-nanny', 'kill -9 its nanny, and with it the container');
  act<CommonOptions & { hard?: boolean }>(
    'stop-task <member>',
    'stop its task; the disk goes with it',
    ['chaos stop-task mk3x9q2ab', 'chaos stop-task mk3x9q2ab --hard'],
    (command) => command.option('--hard', 'at once, as when the host is lost'),
    ({ hard }, member) => ({ do: 'stop-task', member, hard: hard ?? false }),
  );
  act<CommonOptions & { zone?: string }>(
    'cut [member]',
    'cut a member or a whole zone off (by freezing all its processes; a zone also refuses launches)',
    ['chaos cut mk3x9q2ab', 'chaos cut --zone us-east-1a', 'chaos heal'],
    (command) => command.option('--zone <zone>', 'all members there'),
    ({ zone }, member) => {
      if ((zone === undefined) === (member === undefined))
        throw new UsageError('Name a member, or a zone with --zone.');
      return zone === undefined ? { do: 'cut', member } : { do: 'cut-zone', zone };
    },
  );
  onMember('pause', 'let its etcd alone stand still');
  onMember('resume', 'let it go on');
  act<CommonOptions & { percent?: number; period?: number }>(
    'slow <member>',
    'let its etcd stand still most of the time: a stand-in for a slow disk',
    ['chaos slow mk3x9q2ab', 'chaos slow mk3x9q2ab --percent 60 --period 500'],
    (command) =>
      command
        .option('--percent <n>', 'of the time it stands still (default 80)', wholeNumber)
        .option('--period <ms>', 'of one go and stop (default 250)', wholeNumber),
    ({ percent, period }, member) => ({
      do: 'slow',
      member,
      ...(percent === undefined ? {} : { share: percent / 100 }),
      ...(period === undefined ? {} : { periodMs: period }),
    }),
  );
  act<CommonOptions & { leave?: number }>(
    'fill-disk <member>',
    'make its disk full (root only: moves the volume onto a small tmpfs)',
    ['chaos fill-disk mk3x9q2ab', 'chaos fill-disk mk3x9q2ab --leave 1048576'],
    (command) => command.option('--leave <bytes>', 'that stay free (default 0)', wholeNumber),
    ({ leave }, member) => ({ do: 'fill-disk', member, ...(leave === undefined ? {} : { leave }) }),
  );
  act<CommonOptions & { wal?: boolean; live?: boolean }>(
    'corrupt <member>',
    'kill its etcd and change bytes of values in its database before it starts again',
    ['chaos corrupt mk3x9q2ab', 'chaos corrupt mk3x9q2ab --wal'],
    (command) =>
      command
        .option('--wal', 'a byte of its newest WAL file instead: etcd will not start')
        .option('--live', 'while etcd goes on, as bits rot'),
    ({ wal, live }, member) => ({ do: 'corrupt', member, what: wal ? 'wal' : live ? 'live-db' : 'db' }),
  );
  onMember('retire', "send Fargate's notice that its task will be retired");
  act<CommonOptions & { atStart?: boolean }>(
    'hold-zone <zone>',
    'let launches in a zone fail',
    ['chaos hold-zone us-east-1a', 'chaos heal --zone us-east-1a'],
    (command) => command.option('--at-start', 'RunTask works, the tasks stop before they start'),
    ({ atStart }, zone) => ({ do: 'hold-zone', zone, at: atStart ? 'start' : 'launch' }),
  );
  for (const [what, description] of [
    [
      'flip-backup',
      'change a bit in the middle of a stored backup or segment: the newest with this in its key',
    ],
    ['lose-backup', 'take it away for good, former versions included'],
  ] as const)
    act(`${what} <key>`, description, [`chaos ${what} acme/1/full/`], plain, (_, key) => ({ do: what, key }));
  act<CommonOptions & { loseDisks?: boolean }>(
    'stop-all <tenant>',
    'end all its tasks at once: nothing is handed over',
    ['chaos stop-all acme', 'chaos stop-all acme --lose-disks'],
    (command) => command.option('--lose-disks', 'disks that were to be kept go too'),
    ({ loseDisks }, tenant) => ({ do: 'stop-all', tenant, loseDisks: loseDisks ?? false }),
  );
  act(
    'silence <rule>',
    'let EventBridge rules with this in their name tell nobody',
    ['chaos silence EveryMinute'],
    plain,
    (_, rule) => ({ do: 'silence', rule }),
  );
  act(
    'hold-messages <function>',
    'let functions with this in their name take no messages',
    ['chaos hold-messages Scale'],
    plain,
    (_, name) => ({ do: 'hold-messages', function: name }),
  );
  onMember('usurp', "start another cluster's etcd in the place of its etcd: two clusters in one tenant");
  act<CommonOptions & { resource?: string; ms?: number; times?: number }>(
    'slow-s3',
    'let calls of S3 take longer',
    ['chaos slow-s3 --ms 2000 --resource c1/acme/'],
    (command) =>
      command
        .requiredOption('--ms <n>', 'longer', wholeNumber)
        .option('--resource <part>', 'of the key, such as the prefix of a tenant')
        .option('--times <n>', 'how often at most (default: until cleared)', wholeNumber),
    ({ resource, ms, times }) => ({ do: 'slow-s3', resource, ms, times }),
  );
  act<CommonOptions & { resource?: string; afterBytes?: number; times?: number }>(
    'cut-s3',
    'break the connection in the middle of what is sent to or read from S3',
    ['chaos cut-s3 --times 1', 'chaos cut-s3 --after-bytes 100000 --resource c1/acme/'],
    (command) =>
      command
        .option('--after-bytes <n>', 'of the body (default 1000)', wholeNumber)
        .option('--resource <part>', 'of the key, such as the prefix of a tenant')
        .option('--times <n>', 'how often at most (default: until cleared)', wholeNumber),
    ({ resource, afterBytes, times }) => ({ do: 'cut-s3', resource, afterBytes, times }),
  );
  for (const what of ['deny', 'throttle'] as const) {
    act<
      CommonOptions & {
        service?: string;
        operation?: string;
        function?: string;
        resource?: string;
        tenant?: string;
        times?: number;
      }
    >(
      what,
      `${what} AWS calls`,
      [`chaos ${what} --service ecs --operation RunTask --times 3`, `chaos ${what} --function remediate`],
      (command) =>
        command
          .option('--service <name>', 'such as ecs, dynamodb, sqs, kms, s3, servicediscovery')
          .option('--operation <name>', 'such as RunTask')
          .option('--function <name>', 'calls of functions with this in their name')
          .option('--resource <part>', 'calls about what has this in its ARN, such as c1/acme/')
          .option('--tenant <id>', 'calls of functions that work for this tenant')
          .option('--times <n>', 'how often at most (default: until cleared)', wholeNumber),
      ({ service, operation, function: name, resource, tenant, times }) => {
        if ([service, operation, name, resource, tenant].every((one) => one === undefined))
          throw new UsageError(
            'Say which calls: --service, --operation, --function, --resource or --tenant.',
          );
        return { do: what, service, operation, function: name, resource, tenant, times };
      },
    );
  }
  act<CommonOptions & { zone?: string }>(
    'heal [member]',
    'take back cut, pause, slow, fill-disk, hold-zone, silence, hold-messages, usurp: of one, of a zone, or all',
    ['chaos heal', 'chaos heal mk3x9q2ab', 'chaos heal --zone us-east-1a'],
    (command) => command.option('--zone <zone>', 'all members there, and its launches'),
    ({ zone }, member) => ({ do: 'heal', member, zone }),
  );
  act<CommonOptions & { tenant?: string }>(
    'clear',
    'heal everything and let all calls through',
    ['chaos clear', 'chaos clear --tenant acme'],
    (command) => command.option('--tenant <id>', 'only let calls through that are about this tenant'),
    ({ tenant }) => ({ do: 'clear', tenant }),
  );
  define(
    'status',
    (command) => command.description('what is hurt now').addHelpText('after', examples('chaos status')),
    async (context, options) => {
      const control = await localControl(context.world, options);
      const found = await control.get<HurtDocument>('chaos');
      context.print(found, () => statusLines(found, context.world.now()));
    },
  );
}

function statusLines({ hurts, rules }: HurtDocument, now: Date): string[] {
  if (hurts.length + rules.length === 0) return ['Nothing is hurt.'];
  const calls = rules.map(({ match, action, struck }) => [
    action.type,
    Object.values(match).join(' ') || 'all calls',
    `struck ${struck} times`,
    '-',
  ]);
  const rows = hurts.map(({ what, target, how, since }) => [what, target, how, relativeTime(since, now)]);
  return table(['WHAT', 'TARGET', 'HOW', 'SINCE'], [...rows, ...calls]);
}
