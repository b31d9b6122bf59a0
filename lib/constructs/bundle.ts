import path from 'node:path';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { buildSync } from 'esbuild';

/** CommonJS dependencies inside an ESM bundle still call require(). */
const requireShim = "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);";

/**
 * handler.ts of a folder as one ESM file, index.mjs, with its source map. Built by esbuild inside this process:
 * NodejsFunction would start npx and esbuild for each function, which takes several times as long.
 */
export function bundledCode(folder: string): lambda.Code {
  return lambda.Code.fromAsset(folder, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('never-used'),
      local: {
        tryBundle(outputDir) {
          bundleHandler(path.join(folder, 'handler.ts'), path.join(outputDir, 'index.mjs'));
          return true;
        },
      },
    },
  });
}

/** The AWS SDK goes into the bundle too (docs/decisions/0032). */
export function bundleHandler(entry: string, outfile: string): void {
  buildSync({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    mainFields: ['module', 'main'],
    minify: true,
    // Errors take their name from their class.
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none',
    banner: { js: requireShim },
    logLevel: 'warning',
  });
}
