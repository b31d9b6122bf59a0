import { builtinModules } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const entry = fileURLToPath(new URL('src/main.ts', import.meta.url));

/** Some packages of CommonJS call `require` for Node's own modules; an ESM file has none. */
const requireShim =
  "import { createRequire as nannyCreateRequire } from 'node:module'; const require = nannyCreateRequire(import.meta.url);";

/**
 * Flags of Node for the nanny's command; it shares its task's memory with etcd. Without the JIT it takes 10 MB less and
 * no more CPU (it waits, mostly); the old space is a limit that a leak would meet before it hurts etcd, MiB.
 */
export const nannyNodeFlags = ['--jitless', '--max-semi-space-size=1', '--max-old-space-size=48'];

/**
 * An import of one of Node's own modules loads it before anything of ours runs, and all of it: of node:http also Node's
 * own fetch and WebSocket, 25 ms of each start and 2 MB of each nanny, for nothing. Asked for as CommonJS, a module is
 * loaded when the first of ours that imports it is.
 */
const builtinsWhenNeeded: Plugin = {
  name: 'builtins-when-needed',
  setup(builder) {
    builder.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path: name }) => {
      const bare = name.replace('node:', '');
      return builtinModules.includes(bare) ? { path: bare, namespace: 'builtin' } : undefined;
    });
    builder.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${name}');`,
    }));
  },
};

/**
 * Bundles the nanny into one ESM file for Node 24; run it with `nannyNodeFlags`.
 * @returns the files that went into it
 */
export async function bundleNanny(outFile: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minify: true,
    legalComments: 'none',
    banner: { js: requireShim },
    logLevel: 'warning',
    plugins: [builtinsWhenNeeded],
    metafile: true,
  });
  return Object.keys(metafile.inputs).map((file) => path.resolve(file));
}
