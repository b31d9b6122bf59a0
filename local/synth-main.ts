import { buildApp } from '../lib/build-app.ts';
import { ConfigError } from '../lib/config.ts';

/** Entry of the process that synthesizes the CDK app for the local cloud: `synth-main.ts <outdir> <context as JSON>`. */
const [outdir, context = '{}'] = process.argv.slice(2);
try {
  buildApp({ outdir, context: JSON.parse(context) }).synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
