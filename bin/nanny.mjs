#!/usr/bin/env node
// Entry for `npx nanny`, in plain JavaScript: it must run under whatever Node starts it. The CLI itself needs Node 24,
// which the project brings along as the npm package `node`.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cli = join(dirname(fileURLToPath(import.meta.url)), 'nanny.ts');
const wanted = 24;

/** The project's Node, wherever npm has put it. */
function projectNode() {
  try {
    const require = createRequire(import.meta.url);
    const manifest = require.resolve('node/package.json');
    const bin = JSON.parse(readFileSync(manifest, 'utf8')).bin;
    const file = join(dirname(manifest), typeof bin === 'string' ? bin : bin.node);
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

if (Number(process.versions.node.split('.')[0]) >= wanted) {
  await import('./nanny.ts');
} else {
  const node = projectNode();
  if (node === undefined) {
    console.error(
      `nanny needs Node ${wanted}; this is ${process.versions.node} and the project's own is not installed. ` +
        'Run "npm ci" in the project first.',
    );
    process.exit(1);
  }
  const child = spawn(node, [cli, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both processes, anybody else only to this one: passed on, a second one does no harm.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('error', (error) => {
    console.error(`nanny cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}
