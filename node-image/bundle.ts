import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const entry = fileURLToPath(new URL('src/main.ts', import.meta.url));

/** Some packages of CommonJS call `require` for Node's own modules; an ESM file has none. */
const requireShim =
  "import { createRequire as nannyCreateRequire } from 'node:module'; const require = nannyCreateRequire(import.meta.url);";

/** Bundles the nanny into one ESM file for Node 24; run it with `nodeFlags`. */
export async function bundleNanny(outFile: string): Promise<void> {
  await build({
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
  });
}
