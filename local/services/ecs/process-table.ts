import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessIdentity } from './model.ts';

/** What /proc tells about processes. On systems without it everything here is empty. */

interface ProcessInfo {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly processGroup: number;
  readonly startTicks: string;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function inspect(pid: number): ProcessInfo | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name, in parentheses, may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    processGroup: Number(fields[2]),
    startTicks: fields[19] ?? '',
  };
}

export function identify(pid: number): ProcessIdentity {
  return {
    pid,
    startTicks: inspect(pid)?.startTicks,
    bootId: read('/proc/sys/kernel/random/boot_id')?.trim(),
  };
}

/** Members of a process group that still run. */
export const liveMembers = (processGroup: number): number[] =>
  live().flatMap((info) => (info.processGroup === processGroup ? [info.pid] : []));

/** Processes that run in the same PID namespace as this one, itself included. Of other people's only root sees it. */
export function namespaceMembers(first: number): number[] {
  const namespace = namespaceOf(first);
  if (namespace === undefined) return [];
  return live().flatMap(({ pid }) => (namespaceOf(pid) === namespace ? [pid] : []));
}

/** All that run. Zombies do not count: an init that never reaps may keep them for ever. */
function live(): ProcessInfo[] {
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return [];
  }
  return entries
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => inspect(Number(entry)) ?? [])
    .filter(({ state }) => state !== 'Z' && state !== 'X');
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** Undefined when it is gone. */
export const parentOf = (pid: number): number | undefined => inspect(pid)?.parent;

/**
 * Whether the group `identity.pid` is still the one that was recorded. Its leader must have the recorded start time; if
 * the leader is gone, every member must have the container's marker or its folder (as HOME) in its environment: the pid
 * may have been given to a stranger meanwhile, and a stranger must never be killed.
 */
export function isOurGroup(identity: ProcessIdentity, directory: string, marker: string): boolean {
  if (identity.startTicks === undefined || identity.bootId !== identify(identity.pid).bootId) return false;
  const members = liveMembers(identity.pid);
  if (members.length === 0) return false;
  if (members.includes(identity.pid)) return inspect(identity.pid)?.startTicks === identity.startTicks;
  return members.every((pid) => {
    const environment = read(`/proc/${pid}/environ`) ?? '';
    return environment.includes(marker) || environment.includes(`=${directory}\0`);
  });
}

/** First argument of a process's command line; undefined when it is gone. */
export const programOf = (pid: number): string | undefined => read(`/proc/${pid}/cmdline`)?.split('\0')[0];
