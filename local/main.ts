import path from 'node:path';
import { parseArgs } from 'node:util';
import { startLocalCloud } from './cloud.ts';
import { LocalCloudError } from './state.ts';

/** `node local/main.ts [--port P] [--state DIR]`: a local cloud until SIGINT, SIGTERM or `POST /_local/stop`. */
const repoDir = path.resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { port: { type: 'string' }, state: { type: 'string' } } });

try {
  const cloud = await startLocalCloud({
    port: values.port === undefined ? undefined : Number(values.port),
    stateDir: path.resolve(values.state ?? path.join(repoDir, '.local')),
    repoDir,
    environment: process.env,
    onProgress: (line) => console.log(line),
  });
  console.log(`Local cloud: ${cloud.url}, API: ${cloud.apiUrl}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => void cloud.stop().catch(() => {}));
  await cloud.stopped;
} catch (error) {
  console.error(error instanceof LocalCloudError ? error.message : error);
  process.exitCode = 1;
}
