import { readdirSync, readFileSync } from 'node:fs';
import { runtime } from './runtime.ts';

/** A live process of this machine, as /proc tells. */
export interface ProcessSeen {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const text = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

function inspect(pid: number): ProcessSeen | undefined {
  const stat = text(`/proc/${pid}/stat`);
  // The program's name, in brackets, may itself hold spaces and brackets.
  const [state, parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (stat === '' || state === 'Z' || state === 'X') return undefined;
  const environment = text(`/proc/${pid}/environ`)
    .split('\0')
    .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]);
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    command: text(`/proc/${pid}/cmdline`).split('\0').slice(0, -1),
    environment: Object.fromEntries(environment),
  };
}

/** All that run now, zombies left out. */
export const processes = (): ProcessSeen[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => inspect(Number(entry)) ?? []);

export const isAlive = (pid: number): boolean => inspect(pid) !== undefined;

/** Whatever works on a state folder: the cloud, its nannies, their etcds, a tool it started. This process is left out. */
export const workingOn = (stateDir: string): ProcessSeen[] =>
  processes().filter(
    ({ pid, command, environment }) =>
      pid !== process.pid &&
      [...command, ...Object.values(environment)].some((word) => word.includes(stateDir)),
  );

/**
 * Undefined between two of its lives. A container's processes are processes of this machine too, but know nothing of the
 * state folder: a member's name is random, and no other cloud has it.
 */
export const nannyOf = (stateDir: string, memberName: string): ProcessSeen | undefined =>
  (runtime === 'docker' ? processes() : workingOn(stateDir)).find(
    ({ pid, group, command, environment }) =>
      pid === group && environment.NANNY_MEMBER === memberName && !command[0]?.endsWith('docker-init'),
  );

/**
 * The nanny and the etcd of a member.
 * @throws Error when they do not run
 */
export function processesOf(stateDir: string, memberName: string): { nanny: ProcessSeen; etcd: ProcessSeen } {
  const nanny = nannyOf(stateDir, memberName);
  if (nanny === undefined) throw new Error(`No nanny of ${memberName} runs.`);
  const etcd = processes().find(
    ({ parent, command }) => parent === nanny.pid && command[0]?.endsWith('/etcd'),
  );
  if (etcd === undefined) throw new Error(`No etcd of ${memberName} runs.`);
  return { nanny, etcd };
}

/** What the container metadata service tells the nanny about its own container. */
export async function containerOf(nanny: ProcessSeen): Promise<{ restartCount: number; startedAt: number }> {
  const answer = await fetch(nanny.environment.ECS_CONTAINER_METADATA_URI_V4!);
  const { RestartCount, StartedAt } = (await answer.json()) as { RestartCount: number; StartedAt: string };
  return { restartCount: RestartCount, startedAt: Date.parse(StartedAt) };
}
