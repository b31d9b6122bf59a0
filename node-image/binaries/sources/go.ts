import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFile } from '../cache.ts';
import type { ExecResult } from '../machine.ts';
import { type Source, type SourceContext, SourceFailure } from '../source.ts';

const buildFolders: string = fileURLToPath(new URL('../../etcd-build', import.meta.url));
const modules = ['server', 'etcdctl', 'etcdutl'].map((name) => `go.etcd.io/etcd/${name}/v3`);

/**
 * Built from the module proxy that `go` is set up for. `etcd-build/<version>` pins every module by its go.sum hash;
 * `go install server@version` cannot be used because etcd's go.mod has replace directives.
 */
export const goSource: Source = {
  name: 'go',
  async probe(version, context) {
    const go = await prepare(version, context);
    const result = await context.machine.exec(go, ['list', '-m', `${modules[0]}@v${version}`], {
      cwd: join(buildFolders, version),
      env: buildEnv,
      timeoutMs: 15_000,
    });
    if (result.code !== 0) throw failure(result);
  },
  async obtain(version, stage, context) {
    const go = await prepare(version, context);
    context.progress(
      `building etcd ${version} with ${await goVersion(go, context)}: 1 to 5 minutes the first time`,
    );
    const out = join(stage, 'built');
    await mkdir(out);
    const stop = reportEvery(context.progress);
    const result = await context.machine.exec(
      go,
      [
        'build',
        '-v',
        '-mod=readonly',
        '-trimpath',
        '-buildvcs=false',
        '-ldflags=-s -w',
        '-o',
        out,
        ...modules,
      ],
      { cwd: join(buildFolders, version), env: buildEnv, onStderrLine: stop.line },
    );
    stop();
    if (result.code !== 0) throw failure(result);
    // The command is named after its module's folder, which is `server` for etcd itself.
    await rename(join(out, 'server'), join(stage, 'etcd'));
    for (const name of ['etcdctl', 'etcdutl']) await rename(join(out, name), join(stage, name));
    await rm(out, { recursive: true });
  },
};

/** The user's GOFLAGS, go.work or C compiler must not change what is built. */
const buildEnv = { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' };

async function prepare(version: string, { machine, once }: SourceContext): Promise<string> {
  const go = await once('go', () => machine.which('go'));
  if (go === undefined) throw new SourceFailure('there is no go on PATH', 'install Go 1.26 or later');
  if (!(await isFile(join(buildFolders, version, 'go.sum')))) {
    throw new SourceFailure('node-image/etcd-build has no pinned modules for it');
  }
  return go;
}

function goVersion(go: string, { machine, once }: SourceContext): Promise<string> {
  return once('go version', async () => {
    const said = await machine.exec(go, ['env', 'GOVERSION'], { timeoutMs: 20_000 });
    return said.stdout.toString('utf8').trim() || 'go';
  });
}

function failure(result: ExecResult): SourceFailure {
  const said = result.stderr.split('\n').filter((line) => line.trim() !== '' && !isNoise(line));
  const lines = [...new Set(said.map((line) => line.replace(/^go: /, '').trim()))];
  const more = lines.length > 2 ? ` (and ${lines.length - 2} lines more)` : '';
  const reason = `${lines.slice(0, 2).join(' / ') || `exit ${result.code}`}${more}`;
  const tooOld = /requires go >= (\S+)/.exec(result.stderr)?.[1];
  return new SourceFailure(
    `go said: ${reason}`,
    tooOld === undefined
      ? 'see that `go env GOPROXY` names a proxy this machine reaches'
      : `install Go ${tooOld.replace(/[^\d.].*$/, '')} or later, or allow go to fetch it (GOTOOLCHAIN=auto)`,
  );
}

/** `-v` prints a package a line and "go: downloading" lines: counted, not shown. */
function isNoise(line: string): boolean {
  return line.startsWith('go: downloading ') || /^[\w.~-]+(\/[\w.~-]+)*$/.test(line);
}

function reportEvery(progress: (line: string) => void): { (): void; line: (line: string) => void } {
  const startedAt = Date.now();
  let downloaded = 0;
  let compiled = 0;
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    progress(
      `go build: ${seconds} s, ${downloaded} modules fetched, ${compiled} packages compiled (some 600 in all)`,
    );
  }, 10_000);
  return Object.assign(() => clearInterval(timer), {
    line: (line: string) => {
      if (line.startsWith('go: downloading ')) downloaded += 1;
      else if (isNoise(line)) compiled += 1;
    },
  });
}
