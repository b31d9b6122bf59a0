import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadTarget } from '../../test/e2e/support/load.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, 'cluster.sh');

/** Three members driven by hand (cluster.sh). Every call but `stop` answers the milliseconds that it took. */
export interface HandCluster {
  boot(): Promise<number>;
  lose(member: string): Promise<number>;
  replace(member: string): Promise<number>;
  /** @param etcdDir folder of the binaries that all members are to run then */
  patch(etcdDir: string): Promise<number>;
  /** For a client that learns at once who is there. */
  target(): LoadTarget;
  stop(): Promise<void>;
}

/** @param net first three octets of a loopback network of its own */
export function handCluster(etcdDir: string, net: string): HandCluster {
  const work = mkdtempSync(join(tmpdir(), 'nanny-hand-'));
  const call = async (command: string, ...args: string[]): Promise<number> => {
    const { stdout } = await run('bash', [script, command, work, ...args]);
    const took = Number(stdout.trim());
    if (!Number.isFinite(took)) throw new Error(`cluster.sh ${command} printed ${JSON.stringify(stdout)}`);
    return took;
  };
  return {
    boot: () => call('boot', net, etcdDir),
    lose: (member) => call('lose', member),
    replace: (member) => call('replace', member, etcdDir),
    patch: (to) => call('patch', to),
    target() {
      const file = (name: string) => readFileSync(join(work, name), 'utf8');
      const found = async () =>
        readdirSync(join(work, 'running')).map((name) => `https://${net}.${10 + Number(name.slice(1))}:2379`);
      return {
        name: 'by hand',
        credentials: {
          caBundle: file('ca.pem'),
          certificate: file('client.pem'),
          privateKey: file('client-key.pem'),
        },
        found,
        voters: found,
        close: () => undefined,
      };
    },
    async stop() {
      await call('stop');
      rmSync(work, { recursive: true, force: true });
    },
  };
}
