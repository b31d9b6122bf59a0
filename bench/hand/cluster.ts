import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadTarget } from '../../test/e2e/support/load.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, 'cluster.sh');

export type Role = 'leader' | 'follower';

/** Three members driven by hand (cluster.sh). Every call but `lose` and `stop` answers the milliseconds that it took. */
export interface HandCluster {
  boot(): Promise<number>;
  /** @returns name of the member whose process and data are gone */
  lose(role: Role): Promise<string>;
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
  const ask = async (command: string, ...args: string[]): Promise<string> =>
    (await run('bash', [script, command, work, ...args])).stdout.trim();
  const call = async (command: string, ...args: string[]): Promise<number> => {
    const printed = await ask(command, ...args);
    const took = Number(printed);
    if (!Number.isFinite(took)) throw new Error(`cluster.sh ${command} printed ${JSON.stringify(printed)}`);
    return took;
  };
  return {
    boot: () => call('boot', net, etcdDir),
    lose: (role) => ask('lose', role),
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
