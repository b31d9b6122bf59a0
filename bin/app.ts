import { buildApp } from '../lib/build-app.ts';
import { ConfigError } from '../lib/config.ts';

try {
  buildApp().synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
