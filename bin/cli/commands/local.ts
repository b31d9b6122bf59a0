import { join } from 'node:path';
import { type CommonOptions, examples } from '../context.ts';
import { CliError } from '../errors.ts';
import { table } from '../format.ts';
import { startDetached } from '../local/detach.ts';
import { localControl } from '../local/local-target.ts';
import { localStatus, stopLocal } from '../local/running.ts';
import { startAttached } from '../local/start.ts';
import { defaultPort, readCloudFile, stateDirOf } from '../target.ts';
import { port } from '../values.ts';
import type { Define } from './index.ts';

interface StartOptions extends CommonOptions {
  readonly port: number;
  readonly detach?: boolean;
  readonly demo: boolean;
}

export function defineLocal(define: Define): void {
  define<StartOptions>(
    'start',
    (command) =>
      command
        .description('start the local cloud and a tenant "demo"; stays up until Ctrl-C')
        .option('--port <port>', 'of the endpoint on 127.0.0.1', port, defaultPort)
        .option('--detach', 'stay up in the background')
        .option('--no-demo', 'without the tenant "demo"')
        .addHelpText(
          'after',
          examples('local start', 'local start --port 4800 --state /tmp/second', 'local start --detach'),
        ),
    async (context, options) => {
      const stateDir = stateDirOf(context.world, options.state);
      const running = await localStatus(context.world, stateDir);
      if (running.running) {
        throw new CliError(
          `A local cloud with this state runs already at ${running.url} (process ${running.pid}). ` +
            'Use it, stop it with "nanny local stop", or give another --state and --port.',
          { code: 'already-running' },
        );
      }
      if (options.detach) {
        const args = [
          'local',
          'start',
          '--port',
          String(options.port),
          '--state',
          stateDir,
          ...(options.demo ? [] : ['--no-demo']),
        ];
        return startDetached(context, args, join(stateDir, 'cloud.log'), stateDir);
      }
      return startAttached(context, { port: options.port, stateDir, demo: options.demo });
    },
  );

  define(
    'status',
    (command) =>
      command
        .description('is the local cloud up, and where')
        .addHelpText('after', examples('local status', 'local status --json')),
    async (context, options) => {
      const stateDir = stateDirOf(context.world, options.state);
      const status = await localStatus(context.world, stateDir);
      context.print(status, () => [
        status.running
          ? `The local cloud is up at ${status.url} (process ${status.pid}, state in ${stateDir}).`
          : `No local cloud is up with its state in ${stateDir}. Start it: npm start`,
      ]);
      return status.running ? 0 : 1;
    },
  );

  define(
    'stop',
    (command) =>
      command
        .description('stop the local cloud; tenants and their data come back at the next start')
        .addHelpText('after', examples('local stop', 'local stop --state /tmp/second')),
    async (context, options) => {
      const stateDir = stateDirOf(context.world, options.state);
      const file = await readCloudFile(stateDir);
      const stopped = await stopLocal(context.world, stateDir);
      context.print({ stopped, stateDir, ...(file ? { pid: file.pid } : {}) }, () => [
        stopped
          ? `The local cloud at ${file?.url} has stopped. Its state stays in ${stateDir}.`
          : `No local cloud is up with its state in ${stateDir}.`,
      ]);
    },
  );

  define<CommonOptions & { alarms?: boolean }>(
    'pages',
    (command) =>
      command
        .description('what the alarms of the local cloud would have paged')
        .option('--alarms', 'the alarms instead: which are on')
        .addHelpText('after', examples('local pages', 'local pages --alarms', 'local pages --json')),
    async (context, options) => {
      const control = await localControl(context.world, options);
      if (options.alarms) {
        const { alarms } = await control.get<{ alarms: Alarm[] }>('alarms');
        context.print({ alarms }, () => table(['ALARM', 'STATE', 'SINCE', 'WHY'], alarms.map(alarmRow)));
        return;
      }
      const { pages } = await control.get<{ pages: Page[] }>('pages');
      context.print({ pages }, () =>
        pages.length === 0
          ? ['Nobody was paged.']
          : pages.flatMap(({ at, subject, message }) => [
              `${at}  ${subject}`,
              `    ${JSON.parse(message).AlarmDescription}`,
            ]),
      );
    },
  );
}

interface Page {
  readonly at: string;
  readonly subject: string;
  readonly message: string;
}

interface Alarm {
  readonly name: string;
  readonly state: string;
  readonly since: string;
  readonly reason: string;
}

const alarmRow = ({ name, state, since, reason }: Alarm): string[] => [name, state, since, reason];
