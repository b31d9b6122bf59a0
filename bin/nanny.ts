#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { runCli } from './cli/program.ts';
import { realWorld } from './cli/real-world.ts';

const world = realWorld({
  env: process.env,
  repoDir: fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, ''),
  entry: fileURLToPath(import.meta.url),
});

// A reader that has seen enough (`nanny list | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), world);
// The work is done: a connection that somebody forgot to close must not keep the terminal waiting.
setTimeout(() => process.exit(), 3_000).unref();
