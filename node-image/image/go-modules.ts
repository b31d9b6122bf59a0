/** What `go version -m` tells of a Go binary: how it was built, of which modules. */
export interface GoBinary {
  /** Main package, such as `go.etcd.io/etcd/server/v3`. */
  readonly path: string;
  readonly goVersion: string;
  readonly os: string;
  readonly arch: string;
  readonly main: GoModule;
  readonly modules: readonly GoModule[];
}

export interface GoModule {
  readonly path: string;
  /** `(devel)` for the main module of a binary built in its own checkout. */
  readonly version: string;
  /** As in go.sum; absent for a module that came from no proxy. */
  readonly sum?: string;
}

/** @throws Error when the text is not of exactly one binary */
export function parseBuildInfo(text: string): GoBinary {
  const lines = text.trim().split('\n');
  const goVersion = /: go(\S+)/.exec(lines[0] ?? '')?.[1];
  const of = (kind: string) =>
    lines.map((line) => line.trim().split('\t')).filter(([first]) => first === kind);
  const settings = new Map(of('build').map(([, setting = '']) => setting.split('=', 2) as [string, string]));
  const modules = lines.flatMap((line, index) => {
    const [kind, path, version, sum] = line.trim().split('\t');
    // The line after tells what stands in its place.
    const replaced = lines[index + 1]?.trim().startsWith('=>\t');
    const isModule = kind === 'dep' || kind === '=>';
    return isModule && !replaced && path && version ? [{ path, version, ...(sum ? { sum } : {}) }] : [];
  });
  const [, path] = of('path')[0] ?? [];
  const [, mainPath, version, sum] = of('mod')[0] ?? [];
  const [os, arch] = [settings.get('GOOS'), settings.get('GOARCH')];
  if (!goVersion || !path || !mainPath || !version || !os || !arch)
    throw new Error(`This is not what "go version -m" says of a binary: ${lines[0]}`);
  return { path, goVersion, os, arch, main: { path: mainPath, version, ...(sum ? { sum } : {}) }, modules };
}
