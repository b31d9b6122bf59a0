import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Machine } from '../binaries/machine.ts';

/** A docker command that can build with BuildKit. */
export interface DockerCli {
  readonly path: string;
  /** What comes before the flags of a build. */
  readonly build: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** From this version on BuildKit is a plugin (buildx); before, it is in the command itself. */
const pluginSince = 23;

/**
 * The first docker on PATH that has an engine to talk to and can build with BuildKit: several may be there, and an SDK's
 * own client often comes without buildx.
 * @throws Error with what is wrong with each
 */
export async function findDocker(machine: Machine): Promise<DockerCli> {
  const found = await candidates(machine.env.PATH ?? '');
  if (found.length === 0)
    throw new Error('There is no docker on PATH. On Debian: apt-get install docker.io, then start dockerd.');
  const problems: string[] = [];
  for (const path of found) {
    const said = await machine.exec(path, ['version', '--format', '{{.Client.Version}}'], {
      timeoutMs: 20_000,
    });
    const version = said.stdout.toString('utf8').trim();
    if (said.code !== 0) {
      problems.push(`${path}: ${said.stderr.trim().split('\n').at(-1)}`);
      continue;
    }
    const buildx = await machine.exec(path, ['buildx', 'version'], { timeoutMs: 20_000 });
    if (buildx.code === 0) return { path, build: ['buildx', 'build', '--load'], env: {} };
    if (Number(version.split('.')[0]) < pluginSince)
      return { path, build: ['build'], env: { DOCKER_BUILDKIT: '1' } };
    problems.push(`${path} (${version}) has no buildx: install docker-buildx or docker-buildx-plugin`);
  }
  throw new Error(`No docker here can build the image. ${problems.join('; ')}`);
}

async function candidates(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const directory of new Set(path.split(delimiter).filter(Boolean))) {
    const candidate = join(directory, 'docker');
    const usable = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) found.push(candidate);
  }
  return found;
}
