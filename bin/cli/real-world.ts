import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemMachine } from '../../node-image/binaries/machine.ts';
import { resolveEtcd } from '../../node-image/binaries/resolve.ts';
import { startBackground } from './background.ts';
import { CliError } from './errors.ts';
import type { World } from './world.ts';

/** @param entry the CLI's own script, to be started again in the background */
export function realWorld(options: {
  readonly env: World['env'];
  readonly repoDir: string;
  readonly entry: string;
}): World {
  const { env } = options;
  return {
    env,
    cwd: process.cwd(),
    homeDir: homedir(),
    repoDir: options.repoDir,
    output: {
      out: (line) => void process.stdout.write(`${line}\n`),
      err: (line) => void process.stderr.write(`${line}\n`),
    },
    fetch: globalThis.fetch,
    now: () => new Date(),
    sleep: async (ms) => {
      await sleep(ms);
    },
    randomId: randomUUID,
    async awsCredentials() {
      // Loaded when needed: the chain with all its sources costs a good part of a second.
      const { defaultProvider } = await import('@aws-sdk/credential-provider-node');
      return defaultProvider()();
    },
    etcdBinaries: (version, onProgress) =>
      resolveEtcd(version, {
        machine: systemMachine(env),
        onProgress,
        ...(env.NANNY_ETCD_DIR === undefined ? {} : { directory: env.NANNY_ETCD_DIR }),
      }),
    run: runHere,
    capture,
    async startLocalCloud(request) {
      // Loaded when needed: it brings the CDK and a database along.
      const [{ startLocalCloud }, { LocalCloudError }] = await Promise.all([
        import('../../local/cloud.ts'),
        import('../../local/state.ts'),
      ]);
      try {
        return await startLocalCloud({
          ...request,
          environment: env,
          ...(env.NANNY_ETCD_DIR === undefined ? {} : { etcdDir: env.NANNY_ETCD_DIR }),
        });
      } catch (error) {
        if (error instanceof LocalCloudError)
          throw new CliError(error.message, { code: 'not-started', cause: error });
        throw error;
      }
    },
    startBackground: (args, logFile) => startBackground(options.entry, args, logFile, env),
    report: (message) => {
      if (process.connected) process.send?.(message);
    },
    interrupted: () =>
      new Promise((resolve) => {
        // Stays installed: a second Ctrl-C while members stop must not end the process half way. npm and the terminal
        // both pass one on, so only signals that lie apart are counted; the third is from somebody who means it.
        let count = 0;
        let last = 0;
        const onSignal = (name: NodeJS.Signals) => {
          if (Date.now() - last > 1_000) count += 1;
          last = Date.now();
          if (count >= 3) process.exit(130);
          resolve(name);
        };
        for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
      }),
    processAlive(pid) {
      try {
        process.kill(pid, 0);
        return true;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EPERM';
      }
    },
    signal: (pid, name) => void process.kill(pid, name),
  };
}

const runHere: World['run'] = (program, args, env) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: 'inherit', env });
    // The terminal sends Ctrl-C to both; the program decides what it means (etcdctl watch).
    const ignore = () => {};
    process.on('SIGINT', ignore);
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });

const capture: World['capture'] = (program, args, env) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
