import type { RuntimeName } from '../../../local/docker.ts';
import { createApi } from '../api.ts';
import type { CommandContext } from '../context.ts';
import { shortTime } from '../format.ts';
import { resolveTarget, stateDirOf } from '../target.ts';
import type { LocalCloud, World } from '../world.ts';
import { proveDemo } from './demo.ts';

export interface StartRequest {
  readonly port: number;
  readonly stateDir: string;
  readonly demo: boolean;
  readonly runtime: RuntimeName;
}

/** Starts the local cloud in this process and stays until Ctrl-C or SIGTERM. */
export async function startAttached(context: CommandContext, request: StartRequest): Promise<number> {
  const { world } = context;
  const begin = world.now().getTime();
  const say = (line: string) => {
    const text = `[${shortTime(world.now().getTime() - begin).padStart(8)}] ${line}`;
    if (context.json) world.output.err(text);
    else world.output.out(text);
    world.report({ kind: 'line', text });
  };
  // Listened for from the very beginning: a Ctrl-C during the start must stop what has been started.
  let up = false;
  let early = false;
  const interrupted = world.interrupted();
  void interrupted.then(() => {
    if (up) return;
    early = true;
    say('Interrupted: stopping as soon as the step under way is over ...');
  });
  let cloud: LocalCloud;
  try {
    cloud = await world.startLocalCloud({
      port: request.port,
      stateDir: request.stateDir,
      runtime: request.runtime,
      repoDir: world.repoDir,
      onProgress: say,
    });
  } catch (error) {
    // A Ctrl-C in a terminal reaches the tools that were at work too: their failure is no news.
    if (!early) throw error;
    say('Stopped before it was up.');
    return 1;
  }
  up = true;
  let failure: unknown;
  try {
    if (!early) await serve(context, request, cloud, interrupted, say);
    say('Stopping: members write what they hold ...');
  } catch (error) {
    failure = error;
    say('The demo failed; stopping ...');
  }
  await cloud.stop();
  if (failure !== undefined) throw failure;
  say('Stopped. Everything comes back at the next start.');
  return 0;
}

/** Until somebody ends it. @throws when the demo fails */
async function serve(
  context: CommandContext,
  request: StartRequest,
  cloud: LocalCloud,
  interrupted: Promise<unknown>,
  say: (line: string) => void,
): Promise<void> {
  const { world } = context;
  say(`Local cloud is up at ${cloud.url}`);
  const end = Promise.race([interrupted, cloud.stopped]).then(() => 'end' as const);
  const ready = request.demo ? demo(context, cloud.url, request.stateDir, say) : Promise.resolve();
  // What the demo says once nobody waits for it any more is of no interest.
  ready.catch(() => {});
  if ((await Promise.race([end, ready.then(() => 'ready' as const)])) === 'end') return;
  for (const line of nextSteps(cloud.url, request.demo, stateFlag(world, request.stateDir))) say(line);
  if (context.json) {
    const document = { url: cloud.url, apiUrl: cloud.apiUrl, stateDir: request.stateDir };
    world.output.out(JSON.stringify(document, undefined, 2));
  }
  world.report({ kind: 'ready', text: cloud.url });
  await end;
}

async function demo(
  context: CommandContext,
  url: string,
  stateDir: string,
  say: (line: string) => void,
): Promise<void> {
  const api = createApi(context.world, await resolveTarget(context.world, { url, state: stateDir }));
  await proveDemo(context.world, api, say);
}

/** What other commands need to find this cloud when it is not in the usual place. */
export const stateFlag = (world: World, stateDir: string): string =>
  stateDir === stateDirOf(world, undefined) ? '' : ` --state ${stateDir}`;

const nextSteps = (url: string, demo: boolean, flags: string): string[] => [
  `Ready: ${url}. Ctrl-C stops it. In another terminal:`,
  ...(demo ? [`  npx nanny get demo${flags}`] : []),
  `  npx nanny create acme --members 3 --wait${flags}`,
  `  npx nanny etcdctl${flags} ${demo ? 'demo' : 'acme'} -- put hello world`,
];
